/* Parameters in files, in the safetensors format: 8 bytes of header length, a JSON header, the numbers. The Python package
   safetensors reads what this writes, and this reads what that writes.
   Source: https://github.com/huggingface/safetensors, "Format". */
#ifndef SP_NN_SAFETENSORS_H
#define SP_NN_SAFETENSORS_H

#include "autograd/store.h"

SP_BEGIN

/* A pair of the file's metadata. */
typedef struct sp_metadata {
    const char *key, *value;        /* UTF-8 */
} sp_metadata;

/* Numbers as a value: 16 digits for the bits of each, so exact, and the same in every locale. text has room for all. Back:
   false if it is no text of n numbers. */
#define SP_NUMBERS_TEXT(n) (17 * (n))
void sp_numbers_write(char *text, int n, const double *x);
bool sp_numbers_read(const char *text, int n, double *x);

/* Writes all parameters of a store, as F32 or F64 as the library is built, and n pairs of metadata. The file is replaced
   whole or not at all (autograd/file.h). Before your pairs is one more, "spindle.checksum": 16 digits that no file with a byte
   changed has. Another program that writes the file anew must leave that key out. */
bool sp_store_save(const sp_store *s, const char *path, int n, const sp_metadata *metadata, sp_status *status);

/* The same for several stores in one file: a model and what belongs to it. Two parameters of one name are an error,
   and so are two keys of one text, texts that are not UTF-8, and NULLs. */
bool sp_stores_save(int count, const sp_store *const *stores, const char *path, int n, const sp_metadata *metadata,
                    sp_status *status);

/* A file that was read and found sound: every tensor has its bytes, none overlap, none are missing or left over. There may be
   tensors with more than 4 axes and of any type, which are errors only for who asks for them. */
typedef struct sp_safetensors sp_safetensors;

/* NULL if the file cannot be read or is not sound; status says why. */
sp_safetensors *sp_safetensors_open(const char *path, sp_status *status);
void sp_safetensors_free(sp_safetensors *f);

/* The value of a metadata key, borrowed, or NULL. */
const char *sp_safetensors_get(const sp_safetensors *f, const char *key);

/* Has it a checksum? If so, it was right, or the file could not have been opened. Files of other programs have none. */
bool sp_safetensors_sealed(const sp_safetensors *f);

/* The path it was opened by, for messages; "" for NULL. */
const char *sp_safetensors_path(const sp_safetensors *f);

/* Bytes of all its tensors; 0 for NULL. */
uint64_t sp_safetensors_bytes(const sp_safetensors *f);

/* Its tensors, one by one: the name of the i-th, in the order of the file, NULL from the end on; and the shape of one, rank 0
   with -1 in dim[0] if there is none of that name, or with more than 4 axes. */
const char *sp_safetensors_name(const sp_safetensors *f, int i);
sp_shape sp_safetensors_shape(const sp_safetensors *f, const char *name);

/* Copies the numbers of a tensor of type F64, F32, F16 or BF16 to out, which has room for all. */
bool sp_safetensors_read(const sp_safetensors *f, const char *name, sp_real *out, sp_status *status);

/* Copies the file's tensors into the parameters of the same names. The file must hold exactly the parameters of the store,
   with their shapes, as F64, F32, F16 or BF16, statistics (autograd/store.h) also as I64. Otherwise the store is unchanged
   and status says which tensor is wrong and how. A NULL file is the error that sp_safetensors_open has put into status, so the
   two calls nest. */
bool sp_store_load(sp_store *s, const sp_safetensors *f, sp_status *status);

/* The same for several stores, which together have exactly the tensors of the file. */
bool sp_stores_load(int count, sp_store *const *stores, const sp_safetensors *f, sp_status *status);

SP_END
#endif
