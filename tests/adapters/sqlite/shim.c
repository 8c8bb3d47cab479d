/* Preloaded into a writing process: logs what it writes, syncs and sends, and keeps the files as they stood at each sync.
 *
 * SHIM_LOG: the log; SHIM_IMAGES: a directory; SHIM_DATABASE: the database. SHIM_FAIL=N: from the Nth on, syncs of the
 * database's log fail with an input/output error. Lines of the log:
 *   write wal | sync db N | sync wal N | sync other N | rename | send FD HEX
 * Image N is N.db and N.wal, copied right after sync N returned. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int log_fd = -1, syncs = 0, busy = 0, left = -1;
static const char *images, *database;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("SHIM_LOG");
    images = getenv("SHIM_IMAGES");
    database = getenv("SHIM_DATABASE");
    if (getenv("SHIM_FAIL")) left = atoi(getenv("SHIM_FAIL"));
    if (path && images && database) log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void line(const char *format, ...) {
    static char text[4096];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    if (real(log_fd, text, size) != size) abort();
}

/* 1: the database, 2: its log, 3: another file, 0: not a file */
static int which(int fd) {
    char link[64], path[4096];
    if (log_fd < 0 || busy) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    if (path[0] != '/') return 0;
    size_t base = strlen(database);
    if (strncmp(path, database, base)) return 3;
    if (!path[base]) return 1;
    return strcmp(path + base, "-wal") ? 3 : 2;
}

static void copy(const char *from, const char *suffix) {
    char to[4096];
    static char buffer[1 << 16];
    ssize_t (*put)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    snprintf(to, sizeof to, "%s/%d.%s", images, syncs, suffix);
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t size;
    /* a second descriptor of the database may be closed: the locks of the process are only needed against others */
    while (in >= 0 && (size = pread(in, buffer, sizeof buffer, lseek(in, 0, SEEK_CUR))) > 0) {
        if (put(out, buffer, size) != size) abort();
        lseek(in, size, SEEK_CUR);
    }
    if (in >= 0) close(in);
    close(out);
}

static void synced(int kind) {
    static const char *names[] = {"", "db", "wal", "other"};
    char wal[4096];
    if (!kind) return;
    busy = 1;
    snprintf(wal, sizeof wal, "%s-wal", database);
    copy(database, "db");
    copy(wal, "wal");
    line("sync %s %d\n", names[kind], syncs++);
    busy = 0;
}

static int fails(int fd) {
    if (left < 0 || which(fd) != 2) return 0;
    if (left > 0) return left--, 0;
    errno = EIO;
    return 1;
}

int fsync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    if (fails(fd)) return -1;
    int result = real(fd);
    if (!result) synced(which(fd));
    return result;
}

int fdatasync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    if (fails(fd)) return -1;
    int result = real(fd);
    if (!result) synced(which(fd));
    return result;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    if (which(fd) == 2) line("write wal\n");
    return real(fd, bytes, size, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    if (which(fd) == 2) line("write wal\n");
    return real(fd, bytes, size, at);
}

int rename(const char *from, const char *to) {
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    if (log_fd >= 0) line("rename\n");
    return real(from, to);
}

static void sending(int fd, const unsigned char *bytes, size_t size) {
    if (log_fd < 0) return;
    line("send %d ", fd);
    for (size_t at = 0; at < size; at += 1024) {
        char text[2049];
        size_t part = size - at < 1024 ? size - at : 1024;
        for (size_t index = 0; index < part; index++) sprintf(text + 2 * index, "%02x", bytes[at + index]);
        line("%s", text);
    }
    line("\n");
}

ssize_t send(int fd, const void *bytes, size_t size, int flags) {
    ssize_t (*real)(int, const void *, size_t, int) = dlsym(RTLD_NEXT, "send");
    sending(fd, bytes, size);
    return real(fd, bytes, size, flags);
}

ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "sendto");
    sending(fd, bytes, size);
    return real(fd, bytes, size, flags, to, length);
}
