/* Runs the suite of a test program; its exit status says whether all passed. */
#include "tests/suite.h"

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
