/* Runs the suite of a test program; its exit status says whether all passed. */
#include "tests/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void place(char path[PATH_ROOM])
{
    const char *folder = getenv("TMPDIR");
    struct stat memory;
    if (!folder)
        folder = !stat("/dev/shm", &memory) && S_ISDIR(memory.st_mode) && !access("/dev/shm", W_OK | X_OK) ? "/dev/shm" : "/tmp";
    ck_assert_int_lt(snprintf(path, PATH_ROOM, "%s/spindle_XXXXXX", folder), PATH_ROOM);
}

void ck_new_directory(char path[PATH_ROOM])
{
    place(path);
    ck_assert_msg(mkdtemp(path) != NULL, "%s cannot be made", path);
}

void ck_new_file(char path[PATH_ROOM])
{
    place(path);
    const int file = mkstemp(path);
    ck_assert_msg(file >= 0 && !close(file), "%s cannot be made", path);
}

void ck_put_file(const char *path, const char *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    ck_assert_msg(f && fwrite(bytes, 1, size, f) == size && !fclose(f), "%s cannot be written", path);
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
