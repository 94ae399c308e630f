/* A flat JSON object, for results and logs: filled key by key, written as one line. */
#ifndef SP_ZOO_REPORT_H
#define SP_ZOO_REPORT_H

#include <stdio.h>

#include "autograd/base.h"

SP_BEGIN

typedef struct sp_report sp_report;

sp_report *sp_report_new(void);                 /* NULL without memory: every function here accepts NULL */
void sp_report_free(sp_report *r);

void sp_report_text(sp_report *r, const char *key, const char *value);      /* NULL is JSON's null */
void sp_report_count(sp_report *r, const char *key, long value);
void sp_report_number(sp_report *r, const char *key, double value);         /* null where it is not finite */
void sp_report_flag(sp_report *r, const char *key, bool value);

/* What bytes these are: how many, and a hash of them. */
void sp_report_bytes(sp_report *r, const char *key, const void *bytes, size_t size);

/* What it puts there, as text, for bytes that will not be there when it is told. */
enum { SP_FINGERPRINT = 48 };
const char *sp_fingerprint(const void *bytes, size_t size, char text[SP_FINGERPRINT]);

/* The object as text of one line, numbers with so many digits (17: exact), to be freed. NULL if it could not be built. */
char *sp_report_string(const sp_report *r, int digits);

/* Is an object, in exact text, the same? If not, the status says what differs: "lr is 0.01, not 0.02", the object's value first.
   Errors: SP_ERR_VALUE, it is another; SP_ERR_FORMAT, it is no object; SP_ERR_MEMORY. */
bool sp_report_equals(const sp_report *r, const char *json, sp_status *status);

/* The object and a newline. False if it could not be built or written. */
bool sp_report_write(const sp_report *r, FILE *out);

SP_END
#endif
