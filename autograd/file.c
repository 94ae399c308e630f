#include "autograd/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char suffix[] = ".new";

/* A pipe or a device is written to as it is (root would replace /dev/null by a file); a directory then fails at once. */
static bool replaceable(const char *path)
{
    struct stat s;
    return stat(path, &s) || S_ISREG(s.st_mode);
}

bool sp_file_begin(sp_file *f, const char *path, sp_status *status)
{
    size_t n = strlen(path);
    *f = (sp_file){ .path = malloc(n + 1), .beside = malloc(n + sizeof suffix) };
    if (!f->path || !f->beside) {
        sp_fail(status, SP_ERR_MEMORY, "%s: out of memory", path);
    } else {
        strcpy(f->path, path);
        strcat(strcpy(f->beside, path), replaceable(path) ? suffix : "");
        f->out = fopen(f->beside, "wb");
        if (f->out)
            return true;
        sp_fail(status, SP_ERR_FILE, "%s: cannot be written: %s", path, strerror(errno));
    }
    free(f->path);
    free(f->beside);
    return false;
}

bool sp_file_end(sp_file *f, bool keep, sp_status *status)
{
    bool ok = true, beside = strcmp(f->beside, f->path) != 0;
    if (keep) {
        if (!ferror(f->out))                            /* else errno says what went wrong while writing */
            errno = 0;
        ok = !fflush(f->out) && !ferror(f->out) && (!fsync(fileno(f->out)) || errno == EINVAL || errno == EROFS);
        if (!ok)
            sp_fail(status, SP_ERR_FILE, "%s: writing failed: %s; what was there before is unchanged", f->path,
                    strerror(errno ? errno : EIO));
    }
    if (fclose(f->out) && keep && ok)
        ok = sp_fail(status, SP_ERR_FILE, "%s: writing failed: %s", f->path, strerror(errno));
    if (keep && ok && beside && rename(f->beside, f->path))
        ok = sp_fail(status, SP_ERR_FILE, "%s: cannot be replaced: %s", f->path, strerror(errno));
    if ((!keep || !ok) && beside)
        remove(f->beside);
    free(f->path);
    free(f->beside);
    return ok;
}

char *sp_file_read(const char *path, size_t *size, sp_status *status)
{
    size_t room = 1 << 16, n = 0;
    FILE *in = fopen(path, "rb");
    if (!in) {
        sp_fail(status, SP_ERR_FILE, "%s: cannot be read: %s", path, strerror(errno));
        return NULL;
    }
    char *text = malloc(room);
    while (text && !ferror(in) && (n += fread(text + n, 1, room - 1 - n, in)) == room - 1) {
        char *more = realloc(text, 2 * room);
        if (!more)
            free(text);
        text = more;
        room *= 2;
    }
    if (!text)
        sp_fail(status, SP_ERR_MEMORY, "%s: out of memory", path);
    else if (ferror(in))
        sp_fail(status, SP_ERR_FILE, "%s: cannot be read: %s", path, strerror(errno));
    bool ok = text && !ferror(in);
    fclose(in);
    if (!ok) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    *size = n;
    return text;
}
