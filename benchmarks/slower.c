/* Preloaded: every sync takes SLOWER_US microseconds more, as on a disk that is slower by so much. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int slower(const char *name, int file)
{
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = sync(file);
    long us = atol(getenv("SLOWER_US"));
    struct timespec more = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&more, 0);
    return result;
}

int fsync(int file) { return slower("fsync", file); }
int fdatasync(int file) { return slower("fdatasync", file); }
