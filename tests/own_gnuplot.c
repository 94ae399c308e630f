#include "tests/own_gnuplot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char directory[PATH_ROOM], picture[PATH_ROOM + 16], text[1 << 20];
static char program[PATH_ROOM + 16], *users_path;

void begin_own_gnuplot(void)
{
    ck_new_directory(directory);
    snprintf(picture, sizeof picture, "%s/a 'b' \"c\".svg", directory);
    snprintf(program, sizeof program, "%s/gnuplot", directory);
    users_path = strdup(getenv("PATH"));
    setenv("PATH", directory, 1);
}

void end_own_gnuplot(void)
{
    setenv("PATH", users_path, 1);
    free(users_path);
    remove(picture);
    remove(program);
    ck_assert_msg(rmdir(directory) == 0, "something is left in %s", directory);
}

void install_gnuplot(const char *script)
{
    FILE *f = fopen(program, "w");
    ck_assert(f && fprintf(f, "#!/bin/sh\n%s\n", script) > 0 && !fclose(f) && !chmod(program, 0755));
}

void remove_gnuplot(void)
{
    remove(program);
}

void use_real_gnuplot(void)
{
    setenv("PATH", users_path, 1);
}

const char *read_picture(void)
{
    FILE *f = fopen(picture, "r");
    text[f ? fread(text, 1, sizeof text - 1, f) : 0] = '\0';
    if (f)
        fclose(f);
    return text;
}
