/* A trained model as one safetensors file: parameters; of what kind it is, its configuration and its vocabularies as metadata.

       const sp_option rows[] = { SP_TAGGER_OPTIONS(&m->config), { 0 } };
       const sp_metadata parts[] = { { "words", words }, { "tags", tags } };
       sp_model_save(m->store, "spindle.tagger 1", rows, 2, parts, path, status);

       sp_safetensors *f = sp_model_open(path, "spindle.tagger 1", rows, status);           the configuration is there
       sp_vocabulary *words = sp_model_vocabulary(f, "words", status);
       ... declares its parameters in a store of sp_model_store(f, status) ...
       sp_model_read(store, f, status); */
#ifndef SP_ZOO_MODEL_FILE_H
#define SP_ZOO_MODEL_FILE_H

#include "nn/safetensors.h"
#include "zoo/bpe.h"
#include "zoo/options.h"
#include "zoo/text.h"

SP_BEGIN

/* Writes the rows by their names, but no text that is NULL; parts, those that are NULL left out; and the parameters. `kind`
   has a version, which a change that old models do not survive raises. Rows and parts have different names, none "kind". False,
   the file unchanged, also where a number is not finite or a text is not UTF-8. */
bool sp_model_save(const sp_store *s, const char *kind, const sp_option *rows, int parts, const sp_metadata *part,
                   const char *path, sp_status *status);

/* Opens a file of that kind and sets the rows from it, each checked as if it had been given as an option; texts are borrowed
   from the file. NULL: "m.st: is a model of the kind 'spindle.lm 1', not 'spindle.tagger 1'"; the rows are then as they were. */
sp_safetensors *sp_model_open(const char *path, const char *kind, const sp_option *rows, sp_status *status);

/* A part of an open file, to be freed. NULL, "m.st: its words: the vocabulary cannot be read", if it is none or not there. */
sp_vocabulary *sp_model_vocabulary(const sp_safetensors *f, const char *part, sp_status *status);
sp_bpe *sp_model_bpe(const sp_safetensors *f, const char *part, sp_status *status);

/* What is wrong with what a file says, in status as "<file>: <why>": an error of its format, but for memory. */
void sp_model_refuse(const sp_safetensors *f, const sp_status *why, sp_status *status);

/* A store that takes no more parameters than a file of so many bytes has: sizes that it claims wrongly take no memory. */
sp_store *sp_model_store(const sp_safetensors *f, sp_status *status);

/* sp_store_load, with an error for a number that is not finite: "m.st: number 3 of tensor 'out.bias' is nan", from 0. After an
   error the store is of no use. */
bool sp_model_read(sp_store *s, const sp_safetensors *f, sp_status *status);

/* The fingerprint (zoo/report.h) of a parameter's values. */
const char *sp_model_fingerprint(const sp_param *p, char text[SP_FINGERPRINT]);

/* How many numbers the parameters are together. */
long sp_model_parameters(const sp_store *s);

SP_END
#endif
