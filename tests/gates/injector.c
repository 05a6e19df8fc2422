/* Makes the n-th call of a kind fail, on files below one directory, of the process that preloads it.
 *
 * Kinds: 0 write, 1 sync, 2 open, 3 rename and making of directories, 4 truncate and allocate. `injector_arm` sets what
 * fails, `injector_seen` tells how many calls of a kind there were since. A lasting failure also hits every later call
 * of its kind. Neither a full disk nor a
 * spent quota keeps anyone from opening what exists. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE, SYNC, OPEN, RENAME, TRUNCATE, KINDS };
enum { FDS = 1 << 16 };

static char root[4096];
static char ours[FDS];
static long seen[KINDS];
static int armed_kind = -1, armed_errno, armed_lasting;
static long armed_call;

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

void injector_arm(const char *directory, int kind, long call, int number, int lasting) {
    strncpy(root, directory, sizeof root - 1);
    memset(seen, 0, sizeof seen);
    armed_kind = kind;
    armed_call = call;
    armed_errno = number;
    armed_lasting = lasting;
}

long injector_seen(int kind) { return seen[kind]; }

static int fails(int kind) {
    long call = __sync_add_and_fetch(&seen[kind], 1);
    if (kind != armed_kind || (armed_lasting ? call < armed_call : call != armed_call)) return 0;
    errno = armed_errno;
    return 1;
}

static int is_ours(int fd) { return fd >= 0 && fd < FDS && ours[fd]; }
static int is_below(const char *path) { return root[0] && strncmp(path, root, strlen(root)) == 0; }

static int opened(int fd, const char *path) {
    if (fd >= 0 && fd < FDS) ours[fd] = is_below(path);
    return fd;
}

static int open_fails(const char *path, int flags) {
    int no_space = armed_errno == ENOSPC || armed_errno == EDQUOT;
    if (!is_below(path) || (no_space && !(flags & O_CREAT))) return 0;
    return fails(OPEN);
}

#define OPEN_WITH(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return open_fails(path, flags) ? -1 : opened(real(path, flags, mode), path); \
    }
OPEN_WITH(open)
OPEN_WITH(open64)

#define OPENAT_WITH(name) \
    int name(int directory, const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return open_fails(path, flags) ? -1 : opened(real(directory, path, flags, mode), path); \
    }
OPENAT_WITH(openat)
OPENAT_WITH(openat64)

int close(int fd) {
    REAL(close);
    if (fd >= 0 && fd < FDS) ours[fd] = 0;
    return real(fd);
}

#define WITH_FD(result, name, kind, parameters, arguments) \
    result name parameters { \
        REAL(name); \
        return is_ours(fd) && fails(kind) ? -1 : real arguments; \
    }
WITH_FD(ssize_t, write, WRITE, (int fd, const void *data, size_t size), (fd, data, size))
WITH_FD(ssize_t, pwrite, WRITE, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
WITH_FD(ssize_t, pwrite64, WRITE, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
WITH_FD(ssize_t, writev, WRITE, (int fd, const struct iovec *parts, int count), (fd, parts, count))
WITH_FD(ssize_t, pwritev, WRITE, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at))
WITH_FD(ssize_t, pwritev64, WRITE, (int fd, const struct iovec *parts, int count, off64_t at), (fd, parts, count, at))
WITH_FD(int, fsync, SYNC, (int fd), (fd))
WITH_FD(int, fdatasync, SYNC, (int fd), (fd))
WITH_FD(int, ftruncate, TRUNCATE, (int fd, off_t size), (fd, size))
WITH_FD(int, ftruncate64, TRUNCATE, (int fd, off64_t size), (fd, size))

/* These return the error's number. */
int posix_fallocate(int fd, off_t at, off_t size) {
    REAL(posix_fallocate);
    return is_ours(fd) && fails(TRUNCATE) ? armed_errno : real(fd, at, size);
}
int posix_fallocate64(int fd, off64_t at, off64_t size) {
    REAL(posix_fallocate64);
    return is_ours(fd) && fails(TRUNCATE) ? armed_errno : real(fd, at, size);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    return is_below(from) && fails(RENAME) ? -1 : real(from, to);
}
int renameat(int from_directory, const char *from, int to_directory, const char *to) {
    REAL(renameat);
    return is_below(from) && fails(RENAME) ? -1 : real(from_directory, from, to_directory, to);
}
int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return is_below(path) && fails(RENAME) ? -1 : real(path, mode);
}
