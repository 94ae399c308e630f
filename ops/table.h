/* One row an operation: its name, which is also its file's, and its constructor. In the formulas y is the result, and
   sizes in brackets are shapes; ... stands for any leading axes. */

/* ---- arithmetic, elementwise with broadcasting ---- */
SP_OP(add,           sp_tensor *sp_add(sp_tape *t, sp_tensor *a, sp_tensor *b))                     /* a + b */
SP_OP(sub,           sp_tensor *sp_sub(sp_tape *t, sp_tensor *a, sp_tensor *b))                     /* a - b */
SP_OP(mul,           sp_tensor *sp_mul(sp_tape *t, sp_tensor *a, sp_tensor *b))                     /* a * b */
SP_OP(div,           sp_tensor *sp_div(sp_tape *t, sp_tensor *a, sp_tensor *b))                     /* a / b */
SP_OP(maximum,       sp_tensor *sp_maximum(sp_tape *t, sp_tensor *a, sp_tensor *b))                 /* max(a, b); a tie halves the gradient */
SP_OP(lerp,          sp_tensor *sp_lerp(sp_tape *t, sp_tensor *a, sp_tensor *b, sp_tensor *w))      /* (1 - w) a + w b */
SP_OP(where,         sp_tensor *sp_where(sp_tape *t, sp_tensor *mask, sp_tensor *a, sp_tensor *b))  /* a where mask != 0, else b */
SP_OP(scale,         sp_tensor *sp_scale(sp_tape *t, sp_tensor *x, double factor))                  /* factor x */
SP_OP(neg,           sp_tensor *sp_neg(sp_tape *t, sp_tensor *x))                                   /* -x */

/* ---- functions, elementwise ---- */
SP_OP(sigmoid,       sp_tensor *sp_sigmoid(sp_tape *t, sp_tensor *x))                               /* 1 / (1 + e^-x) */
SP_OP(log_sigmoid,   sp_tensor *sp_log_sigmoid(sp_tape *t, sp_tensor *x))                           /* ln(1 / (1 + e^-x)); -softplus(-x) */
SP_OP(tanh,          sp_tensor *sp_tanh(sp_tape *t, sp_tensor *x))
SP_OP(relu,          sp_tensor *sp_relu(sp_tape *t, sp_tensor *x))                                  /* max(x, 0); gradient 0 at 0 */
SP_OP(exp,           sp_tensor *sp_exp(sp_tape *t, sp_tensor *x))
SP_OP(log,           sp_tensor *sp_log(sp_tape *t, sp_tensor *x))                                   /* natural */
SP_OP(sqrt,          sp_tensor *sp_sqrt(sp_tape *t, sp_tensor *x))
SP_OP(abs,           sp_tensor *sp_abs(sp_tape *t, sp_tensor *x))                                   /* gradient 0 at 0 */
SP_OP(dropout,       sp_tensor *sp_dropout(sp_tape *t, sp_tensor *x, double p))                     /* each element 0 with probability p, else x / (1 - p); x itself when not training. 0 <= p < 1 */

SP_OP(zoneout,       sp_tensor *sp_zoneout(sp_tape *t, sp_tensor *old, sp_tensor *fresh, double p)) /* each element old with probability p, else fresh; not training their mean, p old + (1 - p) fresh. 0 <= p < 1 */

/* ---- products ---- */
SP_OP(matmul,        sp_tensor *sp_matmul(sp_tape *t, sp_tensor *a, sp_tensor *b))                  /* [...,m,k] x [...,k,n] -> [...,m,n]; leading axes equal, or absent on one side */
SP_OP(affine,        sp_tensor *sp_affine(sp_tape *t, sp_tensor *x, sp_tensor *w, sp_tensor *b))    /* x W + b: [...,k] x [k,n] + [n] -> [...,n] */

/* ---- windows that slide over the last two axes, or one: [B,C,L] with [O,C/groups,k] ---- */
SP_OP(conv,          sp_tensor *sp_conv(sp_tape *t, sp_tensor *x, sp_tensor *w, sp_tensor *bias, sp_slide how))  /* [B,C,H,W], w [O,C/groups,kh,kw], bias [O] or NULL -> [B,O,H',W']: y[b,o,p,q] = bias_o + sum over c, i, j of w[o,c,i,j] x[b,c, p stride + i dilation - padding, ...]; H' = (H + 2 padding - dilation (kh - 1) - 1) / stride + 1 */
SP_OP(max_pool,      sp_tensor *sp_max_pool(sp_tape *t, sp_tensor *x, sp_slide how))               /* the largest in each window, [B,C,H,W] -> [B,C,H',W']; padding counts for nothing, half the kernel at most */
SP_OP(avg_pool,      sp_tensor *sp_avg_pool(sp_tape *t, sp_tensor *x, sp_slide how))               /* the mean of each window, padding being zeros */
SP_OP(batch_norm,    sp_tensor *sp_batch_norm(sp_tape *t, sp_tensor *x, sp_tensor *weight, sp_tensor *bias, sp_tensor *mean, sp_tensor *variance, sp_tensor *count, double momentum, double epsilon))  /* over each channel of [B,C], [B,C,L] or [B,C,H,W]: weight (x - m) / sqrt(v + epsilon) + bias, all [C]. Training: m and v of the batch; else mean and variance, which are constants. Statistics of the store (mean, variance, count or NULL) are moved on by backward: see nn/batch_norm.h */

/* ---- along the last axis ---- */
SP_OP(softmax,       sp_tensor *sp_softmax(sp_tape *t, sp_tensor *x))                               /* e^x_i / sum_j e^x_j */
SP_OP(masked_softmax, sp_tensor *sp_masked_softmax(sp_tape *t, sp_tensor *x, sp_tensor *mask))      /* the same among the places where mask, broadcast to x, is not 0, and 0 elsewhere; zeros where no place is left */
SP_OP(log_softmax,   sp_tensor *sp_log_softmax(sp_tape *t, sp_tensor *x))                           /* x_i - log sum_j e^x_j */
SP_OP(layer_norm,    sp_tensor *sp_layer_norm(sp_tape *t, sp_tensor *x, sp_tensor *gain, sp_tensor *bias, double epsilon))  /* gain (x - mean) / sqrt(variance + epsilon) + bias; gain, bias [n] */


/* ---- losses, before the mean that nn/loss.h takes: for each element, or for each row of the last axis ---- */
SP_OP(cross_entropy, sp_tensor *sp_cross_entropy(sp_tape *t, sp_tensor *logits, const int *ids, int ignore, const sp_real *weight))  /* [...,n] -> [...]: weight (log sum_j e^x_j - x_id) for each row; 0 where id == ignore. ids: one per row, 0..n-1 or ignore; weight: one per row, or NULL for 1 */
SP_OP(cross_entropy_among, sp_tensor *sp_cross_entropy_among(sp_tape *t, sp_tensor *own, sp_tensor *others, const int *omit))  /* [rows], [rows,n] -> [rows]: log(e^own + sum_j e^others_j) - own, the sum without j = omit[row]; SP_OMIT_NONE: with all; SP_OMIT_ROW: the result is 0 */
SP_OP(kl_div,        sp_tensor *sp_kl_div(sp_tape *t, sp_tensor *log_q, sp_tensor *target))          /* [...,n] -> [...]: sum_j p_j (log p_j - log q_j) for each row, p = target; 0 log 0 is 0 */
SP_OP(bce_logits,    sp_tensor *sp_bce_logits(sp_tape *t, sp_tensor *x, sp_tensor *target, double positive_weight))  /* -(weight z log s(x) + (1 - z) log(1 - s(x))), z = target, s = sigmoid; weight 1: plain */
SP_OP(huber,         sp_tensor *sp_huber(sp_tape *t, sp_tensor *x, sp_tensor *target, double delta))  /* d^2/2 where |d| <= delta, else delta (|d| - delta/2); d = x - target */
SP_OP(gaussian_nll,  sp_tensor *sp_gaussian_nll(sp_tape *t, sp_tensor *mean, sp_tensor *log_variance, sp_tensor *target, double least))  /* (s + (mean - target)^2 e^-s) / 2, s = max(log_variance, log least), which broadcasts */

/* ---- over whole sequences (sp_ragged, above): see nn/crf.h and nn/ctc.h ---- */
SP_OP(linear_chain,  sp_tensor *sp_linear_chain(sp_tape *t, sp_tensor *scores, sp_tensor *start, sp_tensor *transitions, sp_tensor *end, const int *tags, const bool *forbidden, const sp_ragged *sequences))  /* scores [rows,k], start [k], transitions [k,k] from,to, end [k] -> [n]: ln of the sum of e^score over all paths, less the score of the path `tags`, [sum of lengths]. forbidden: [k+1,k+1] from,to, index k is outside the sequence, or NULL. Each length is 1 or more */
SP_OP(ctc,           sp_tensor *sp_ctc(sp_tape *t, sp_tensor *logits, const int *targets, const long *lengths, int blank, bool zero_infinity, const sp_ragged *sequences))  /* logits [rows,c] -> [n]: -ln p(labelling), p the sum over all alignments of products of softmax(logits). targets: [sum of lengths], lengths [n]. zero_infinity: what cannot be said, or has probability 0, is 0, else the first is an error and the second +infinity */

/* ---- attention: one query of each row reads its memory in one pass ---- */
SP_OP(attend,        sp_tensor *sp_attend(sp_tape *t, sp_tensor *query, sp_tensor *keys, sp_tensor *values, sp_tensor *mask, sp_tensor *score, sp_tensor *coverage, sp_tensor *weight))  /* query [B,u], keys [B,S,u], values [B,S,w], mask [B,S] -> [context a] [B,w+S]: a = softmax of e where mask != 0, else 0; context = sum_s a_s values_s. e_s = query . keys_s or, with score [u], score . tanh(query + keys_s + coverage_s weight), coverage [B,S], weight [u]; the last three may be NULL. Or query [B,T,u] -> [B,T,w+S], without coverage */

/* ---- reductions over one axis, which disappears, or SP_ALL ---- */
SP_OP(sum,           sp_tensor *sp_sum(sp_tape *t, sp_tensor *x, int axis))
SP_OP(mean,          sp_tensor *sp_mean(sp_tape *t, sp_tensor *x, int axis))                        /* NaN over no elements */
SP_OP(max,           sp_tensor *sp_max(sp_tape *t, sp_tensor *x, int axis))                         /* the gradient goes to the first of equals; an error over no elements */

/* ---- over segments of rows: row i of x [rows,w] is of segment of[i], 0..n-1 ---- */
SP_OP(segment_sum,   sp_tensor *sp_segment_sum(sp_tape *t, sp_tensor *x, const int *of, long n))    /* y[s] = sum of the rows of s, [n,w]; 0 of none */
SP_OP(segment_max,   sp_tensor *sp_segment_max(sp_tape *t, sp_tensor *x, const int *of, long n))    /* y[s] = largest of each column among them, [n,w]; the gradient goes to the first of equals; an error over no rows */
SP_OP(segment_softmax, sp_tensor *sp_segment_softmax(sp_tape *t, sp_tensor *x, const int *of, long n))  /* each column over the rows of its segment, [rows,w] */

/* ---- memory: the first four are views and cost nothing ---- */
SP_OP(slice,         sp_tensor *sp_slice(sp_tape *t, sp_tensor *x, int axis, long from, long to))   /* indices from <= i < to of an axis */
SP_OP(index,         sp_tensor *sp_index(sp_tape *t, sp_tensor *x, int axis, long at))               /* one index of an axis, which disappears; -1 is the last */
SP_OP(transpose,     sp_tensor *sp_transpose(sp_tape *t, sp_tensor *x, int a, int b))               /* axes a and b change places */
SP_OP(reshape,       sp_tensor *sp_reshape(sp_tape *t, sp_tensor *x, sp_shape shape))               /* the same elements, row-major; one size may be -1. A copy only where strides cannot do it */
SP_OP(copy,          sp_tensor *sp_copy(sp_tape *t, sp_tensor *x))                                  /* x without gaps */
SP_OP(concat,        sp_tensor *sp_concat(sp_tape *t, int n, sp_tensor *const *x, int axis))        /* one after the other along an axis; the other sizes equal */
SP_OP(embedding,     sp_tensor *sp_embedding(sp_tape *t, sp_tensor *table, const int *ids, long n)) /* rows of a table [v,e]: y[i] = table[ids[i]], [n,e]; 0 <= id < v */

/* ---- gates: the pointwise part of a cell in one pass ---- */
SP_OP(lstm_gates,    sp_tensor *sp_lstm_gates(sp_tape *t, sp_tensor *a, sp_tensor *b, sp_tensor *c))  /* i f g o = a + b, [B,4H]; c' = s(f) c + s(i) tanh(g); h' = s(o) tanh(c'): [B,H] -> h' and c' side by side, [B,2H] */
SP_OP(gru_gates,     sp_tensor *sp_gru_gates(sp_tape *t, sp_tensor *a, sp_tensor *b, sp_tensor *h))   /* r z n in a and b, [B,3H]: r = s(ar + br), z = s(az + bz), n = tanh(an + r bn); (1 - z) n + z h, [B,H] */
