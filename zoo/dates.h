/* A task for translation from letters to letters: dates as people write them, and as ISO 8601 does.

       Monday, May 3rd 1999  ->  1999-05-03        the 3rd of may 1999  ->  1999-05-03        3-MAY-99  ->  1999-05-03

   Any day from 1950 to 2049, 22 ways of writing it, each as it is, in small letters or in capitals, all equally likely. A year of
   two digits is of 1950 to 1999 if it is 50 or more; 05/03/1999 is the 3rd of May, 05.03.1999 the 5th of March. So no text
   means two dates, and the best possible share of sequences that are right is 100 %, the best loss 0.
   There are 36,525 x 22 x 3 pairs; not all texts are different. */
#ifndef SP_ZOO_DATES_H
#define SP_ZOO_DATES_H

#include "zoo/sentences.h"

SP_BEGIN

enum { SP_DATE_ROOM = 48, SP_DATE_FIRST = 1950, SP_DATE_LAST = 2049 };

/* How many ways of writing there are. */
int sp_date_formats(void);

/* A date in one of these ways, of letters 0: as they are, 1: small, 2: capital; ISO 8601, "1999-05-03", as way -1. Returns
   text, or NULL for a day or a way that is none. */
char *sp_date_write(char text[SP_DATE_ROOM], int format, int letters, int year, int month, int day);

/* n pairs drawn, to be freed: field 0 the letters of what is written, field 1 those of the ISO date. Pair i depends on the
   seed and i alone. NULL without memory, or for n below 0. */
sp_sentences *sp_dates(long n, uint64_t seed, sp_status *status);

SP_END
#endif
