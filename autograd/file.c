#include "autograd/file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Removes path.PID-i.new where PID is no process any more. */
static void remove_leftovers(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const size_t n = strlen(name);
    char *directory = slash ? strdup(path) : NULL;
    if (directory)
        directory[name - path] = '\0';
    DIR *d = slash && !directory ? NULL : opendir(slash ? directory : ".");
    for (struct dirent *e; d && (e = readdir(d)); ) {
        long pid;
        int i, end = 0;
        if (!strncmp(e->d_name, name, n) && sscanf(e->d_name + n, ".%ld-%d.new%n", &pid, &i, &end) == 2 && end
            && !e->d_name[n + (size_t)end] && pid > 0 && kill((pid_t)pid, 0) && errno == ESRCH)
            unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
    free(directory);
}

/* A new file beside path, under a name that no other file has. */
static FILE *open_beside(const char *path, char *beside, size_t room)
{
    FILE *out = NULL;
    remove_leftovers(path);
    for (int i = 0; i < 100 && !out; i++) {
        snprintf(beside, room, "%s.%ld-%d.new", path, (long)getpid(), i);
        out = fopen(beside, "wbx");
        if (!out && errno != EEXIST)
            break;
    }
    return out;
}

bool sp_file_begin(sp_file *f, const char *path, sp_status *status)
{
    struct stat old;
    bool exists = !stat(path, &old);
    char real[PATH_MAX];
    const char *target = exists && realpath(path, real) ? real : path;          /* a link stays, what it points to is replaced */
    size_t n = strlen(target), room = n + 48;
    *f = (sp_file){ .path = malloc(n + 1), .beside = malloc(room) };
    if (!f->path || !f->beside) {
        sp_fail(status, SP_ERR_MEMORY, "%s: out of memory", path);
    } else {
        strcpy(f->path, target);
        *f->beside = '\0';
        /* A pipe or a device is written to as it is; a directory fails here. */
        f->out = exists && !S_ISREG(old.st_mode) ? fopen(target, "wb") : open_beside(target, f->beside, room);
        if (!f->out)
            sp_fail(status, SP_ERR_FILE, "%s: cannot be written: %s", path, strerror(errno));
        else if (exists && *f->beside)
            fchmod(fileno(f->out), old.st_mode & 07777);
    }
    if (f->out)
        return true;
    free(f->path);
    free(f->beside);
    *f = (sp_file){ 0 };
    return false;
}

bool sp_file_end(sp_file *f, bool keep, sp_status *status)
{
    bool ok = true;
    if (!f->out)
        return false;
    if (!ferror(f->out))                /* else errno says what went wrong while writing */
        errno = 0;
    if (keep && (fflush(f->out) || ferror(f->out) || (fsync(fileno(f->out)) && errno != EINVAL && errno != EROFS)))
        ok = sp_fail(status, SP_ERR_FILE, "%s: writing failed: %s; what was there before is unchanged", f->path,
                     strerror(errno ? errno : EIO));
    if (fclose(f->out) && keep && ok)
        ok = sp_fail(status, SP_ERR_FILE, "%s: writing failed: %s", f->path, strerror(errno));
    if (keep && ok && *f->beside && rename(f->beside, f->path))
        ok = sp_fail(status, SP_ERR_FILE, "%s: cannot be replaced: %s", f->path, strerror(errno));
    if ((!keep || !ok) && *f->beside)
        remove(f->beside);
    free(f->path);
    free(f->beside);
    *f = (sp_file){ 0 };
    return ok;
}

bool sp_file_writable(const char *path, sp_status *status)
{
    sp_file f;
    return sp_file_begin(&f, path, status) && sp_file_end(&f, false, status);
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
