#include "autograd/dot.h"

#include "autograd/file.h"
#include "autograd/op.h"

static const char *node_name(const sp_tensor *x, char text[32])
{
    if (!x->id)
        snprintf(text, 32, "p%d", x->buffer->param->index);
    else if (x->node)
        snprintf(text, 32, "t%ld", x->node->output->id);
    else
        snprintf(text, 32, "t%ld", x->id);
    return text;
}

/* Text inside double quotes. */
static void write_quoted(FILE *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            fputc('\\', out);
        fputc(*s == '\n' ? ' ' : *s, out);
    }
}

/* Opens the box of every scope around a node, the outermost first. DOT merges boxes of one name. */
static int open_scopes(FILE *out, const struct sp_scope *s)
{
    if (!s)
        return 0;
    int depth = open_scopes(out, s->parent);
    fprintf(out, "subgraph cluster_%ld { label=\"", s->id);
    write_quoted(out, s->name);
    fprintf(out, "\"; ");
    return depth + 1;
}

static void write_leaf(FILE *out, const sp_tensor *x)
{
    char name[32], shape[SP_SHAPE_TEXT];
    const sp_param *p = x->buffer->param;
    fprintf(out, "  %s [label=\"", node_name(x, name));
    write_quoted(out, p ? p->name : x->label ? x->label : "input");
    fprintf(out, "\\n%s\", shape=ellipse, style=filled, fillcolor=\"%s\"];\n",
            sp_shape_format(shape, x->view.shape), p ? "#ffd9a0" : "#d8e8f8");
}

static void write_edge(FILE *out, const sp_tensor *from, const sp_tensor *to, const char *style)
{
    char a[32], b[32];
    if (!from->node)
        write_leaf(out, from);          /* again for each use: DOT takes the repetition for the same node */
    fprintf(out, "  %s -> %s%s;\n", node_name(from, a), node_name(to, b), style);
}

/* Rows of a value are no embedding. */
static const char *op_name(const struct sp_node *n)
{
    return n->op->flags & SP_OP_LOOKUP && !n->input[0]->buffer->param ? "rows" : n->op->name;
}

static void write_node(FILE *out, const struct sp_node *n)
{
    char name[32], shape[SP_SHAPE_TEXT];
    bool view = n->op->flags & SP_OP_VIEW;
    fprintf(out, "  ");
    int depth = open_scopes(out, n->scope);
    fprintf(out, "%s [label=\"%s\\n%s\"%s]; ", node_name(n->output, name), op_name(n),
            sp_shape_format(shape, n->output->view.shape), view ? ", style=dashed" : "");
    while (depth--)
        fprintf(out, "} ");
    fputc('\n', out);
    for (int i = 0; i < n->call.inputs; i++)
        write_edge(out, n->input[i], n->output, view ? " [style=dashed]" : "");
}

/* A loop over time: its program once, in the boxes of its scopes, and what goes around. */
static void write_program(FILE *out, const struct sp_node *n)
{
    for (const struct sp_node *p = n->program; p; p = p->previous)
        write_node(out, p);
    for (int i = 0; i < n->links; i++) {
        const sp_tensor *from = n->link[2 * i], *to = n->link[2 * i + 1];
        bool back = to->buffer->row && from->node && from->node->output == from && to->id < from->id;
        write_leaf(out, to);
        write_edge(out, from, to, back ? " [style=bold, color=\"#c04040\", constraint=false, label=\"t+1\", fontsize=10]"
                   : i >= n->each ? " [style=bold, label=\"t = 0\", fontsize=10]" : " [style=bold, label=\"each t\", fontsize=10]");
    }
}

bool sp_dot_write(const sp_tape *t, FILE *out)
{
    fprintf(out, "digraph tape {\n"
                 "  rankdir=TB; fontname=\"sans-serif\"; color=\"#888888\";\n"
                 "  node [shape=box, fontname=\"sans-serif\", fontsize=11]; edge [color=\"#666666\"];\n");
    for (const struct sp_node *n = sp_tape_last(t); n; n = n->previous)      /* DOT does not mind the order */
        if (n->program)
            write_program(out, n);
        else
            write_node(out, n);
    fprintf(out, "}\n");
    return !fflush(out) && !ferror(out);
}

bool sp_dot_save(const sp_tape *t, const char *path, sp_status *status)
{
    sp_file f;
    if (!t || !path)
        return sp_fail(status, SP_ERR_VALUE, "dot: the %s is NULL", t ? "path" : "tape");
    if (!sp_file_begin(&f, path, status))
        return false;
    sp_dot_write(t, f.out);
    return sp_file_end(&f, true, status);
}
