/* Records what every process that preloads it does to files below one directory, into one log in one order.
 *
 * RECORD_ROOT is the directory, RECORD_LOG the log: each record is one appending write, made after its call has
 * succeeded (a sync also has one before, since it covers only what was there when it began). Files that LMDB uses as
 * shared memory (lock.mdb) are left out. tests/gates/replay.py reads the log. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC_BEGUN, SYNCED, CREATED, TRUNCATED, ALLOCATED, RENAMED, MADE, UNLINKED };
enum { FDS = 1 << 16 };

struct record {
    uint32_t magic, kind;
    uint64_t inode, offset; /* of a sync: a token that joins its two records; of a truncation: the size */
    uint32_t durable, path_bytes, target_bytes, data_bytes;
};

static char root[PATH_MAX];
static size_t root_bytes;
static int output = -1;
static uint64_t inodes[FDS];
static char durable[FDS];
static uint64_t tokens;

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *directory = getenv("RECORD_ROOT"), *log = getenv("RECORD_LOG");
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    if (!directory || !log) return;
    output = real(log, O_WRONLY | O_APPEND | O_CLOEXEC);
    snprintf(root, sizeof root, "%s", directory);
    root_bytes = strlen(root);
}

static int is_below(const char *path) {
    const char *end = path + strlen(path);
    if (output < 0 || strncmp(path, root, root_bytes) || (path[root_bytes] && path[root_bytes] != '/')) return 0;
    return end - path < 8 || strcmp(end - 8, "lock.mdb") != 0;
}

static void absolute(int directory, const char *path, char *out) {
    char link[64];
    ssize_t size;
    if (path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
        return;
    }
    if (directory == AT_FDCWD) {
        if (!getcwd(out, PATH_MAX)) out[0] = 0;
        size = strlen(out);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        size = readlink(link, out, PATH_MAX - 1);
        if (size < 0) size = 0;
    }
    snprintf(out + size, PATH_MAX - size, "/%s", path);
}

static void emit(uint32_t kind, uint64_t inode, uint64_t offset, int is_durable, const char *path, const char *target,
                 const struct iovec *data, int count, size_t bytes) {
    static ssize_t (*real)(int, const struct iovec *, int);
    struct iovec parts[1027];
    int saved = errno, used = 0;
    struct record record = {0x52454331, kind, inode, offset, is_durable, path ? strlen(path) : 0,
                            target ? strlen(target) : 0, 0};
    if (!real) real = (ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
    parts[used++] = (struct iovec){&record, sizeof record};
    if (path) parts[used++] = (struct iovec){(void *)path, record.path_bytes};
    if (target) parts[used++] = (struct iovec){(void *)target, record.target_bytes};
    for (int i = 0; i < count && bytes && used < 1024; i++) {
        size_t size = data[i].iov_len < bytes ? data[i].iov_len : bytes;
        parts[used++] = (struct iovec){data[i].iov_base, size};
        record.data_bytes += size;
        bytes -= size;
    }
    if (real(output, parts, used) < 0) abort();
    errno = saved;
}

static void note_path(uint32_t kind, const char *path, const char *target) {
    struct stat status;
    uint64_t inode = lstat(target ? target : path, &status) == 0 ? status.st_ino : 0;
    emit(kind, inode, 0, 0, path, target, NULL, 0, 0);
}

static int opened(int fd, const char *path, int flags, int was_there) {
    struct stat status;
    if (fd < 0 || fd >= FDS) return fd;
    inodes[fd] = 0;
    if (!is_below(path) || fstat(fd, &status)) return fd;
    inodes[fd] = status.st_ino;
    durable[fd] = (flags & O_DSYNC) != 0;
    if (!was_there)
        emit(CREATED, status.st_ino, 0, 0, path, NULL, NULL, 0, 0);
    else if (flags & O_TRUNC)
        emit(TRUNCATED, status.st_ino, 0, 0, NULL, NULL, NULL, 0, 0);
    return fd;
}

#define MODE \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest)

#define OPEN_WITH(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        MODE; \
        char full[PATH_MAX]; \
        absolute(AT_FDCWD, path, full); \
        int was_there = !(flags & O_CREAT) || access(full, F_OK) == 0; \
        return opened(real(path, flags, mode), full, flags, was_there); \
    }
OPEN_WITH(open)
OPEN_WITH(open64)

#define OPENAT_WITH(name) \
    int name(int directory, const char *path, int flags, ...) { \
        REAL(name); \
        MODE; \
        char full[PATH_MAX]; \
        absolute(directory, path, full); \
        int was_there = !(flags & O_CREAT) || access(full, F_OK) == 0; \
        return opened(real(directory, path, flags, mode), full, flags, was_there); \
    }
OPENAT_WITH(openat)
OPENAT_WITH(openat64)

int close(int fd) {
    REAL(close);
    if (fd >= 0 && fd < FDS) inodes[fd] = 0;
    return real(fd);
}

static int is_ours(int fd) { return fd >= 0 && fd < FDS && inodes[fd] && fd != output; }

static ssize_t wrote(int fd, ssize_t done, const struct iovec *data, int count, uint64_t at) {
    if (done > 0 && is_ours(fd)) emit(WRITE, inodes[fd], at, durable[fd], NULL, NULL, data, count, done);
    return done;
}

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    struct iovec part = {(void *)data, size};
    uint64_t at = is_ours(fd) ? (uint64_t)lseek(fd, 0, SEEK_CUR) : 0;
    return wrote(fd, real(fd, data, size), &part, 1, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    uint64_t at = is_ours(fd) ? (uint64_t)lseek(fd, 0, SEEK_CUR) : 0;
    return wrote(fd, real(fd, parts, count), parts, count, at);
}

#define PWRITE_WITH(name, offset_type) \
    ssize_t name(int fd, const void *data, size_t size, offset_type at) { \
        REAL(name); \
        struct iovec part = {(void *)data, size}; \
        return wrote(fd, real(fd, data, size, at), &part, 1, at); \
    }
PWRITE_WITH(pwrite, off_t)
PWRITE_WITH(pwrite64, off64_t)

#define PWRITEV_WITH(name, offset_type) \
    ssize_t name(int fd, const struct iovec *parts, int count, offset_type at) { \
        REAL(name); \
        return wrote(fd, real(fd, parts, count, at), parts, count, at); \
    }
PWRITEV_WITH(pwritev, off_t)
PWRITEV_WITH(pwritev64, off64_t)

#define SYNC_WITH(name) \
    int name(int fd) { \
        REAL(name); \
        uint64_t token = (uint64_t)getpid() << 32 | (uint32_t)__sync_add_and_fetch(&tokens, 1); \
        if (is_ours(fd)) emit(SYNC_BEGUN, inodes[fd], token, 0, NULL, NULL, NULL, 0, 0); \
        int result = real(fd); \
        if (is_ours(fd) && result == 0) emit(SYNCED, inodes[fd], token, 0, NULL, NULL, NULL, 0, 0); \
        return result; \
    }
SYNC_WITH(fsync)
SYNC_WITH(fdatasync)

#define TRUNCATE_WITH(name, offset_type) \
    int name(int fd, offset_type size) { \
        REAL(name); \
        int result = real(fd, size); \
        if (is_ours(fd) && result == 0) emit(TRUNCATED, inodes[fd], size, 0, NULL, NULL, NULL, 0, 0); \
        return result; \
    }
TRUNCATE_WITH(ftruncate, off_t)
TRUNCATE_WITH(ftruncate64, off64_t)

#define ALLOCATE_WITH(name, offset_type) \
    int name(int fd, offset_type at, offset_type size) { \
        REAL(name); \
        int result = real(fd, at, size); \
        if (is_ours(fd) && result == 0) emit(ALLOCATED, inodes[fd], at + size, 0, NULL, NULL, NULL, 0, 0); \
        return result; \
    }
ALLOCATE_WITH(posix_fallocate, off_t)
ALLOCATE_WITH(posix_fallocate64, off64_t)

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
    REAL(renameat);
    char full_from[PATH_MAX], full_to[PATH_MAX];
    absolute(from_directory, from, full_from);
    absolute(to_directory, to, full_to);
    int result = real(from_directory, from, to_directory, to);
    if (result == 0 && is_below(full_from)) note_path(RENAMED, full_from, full_to);
    return result;
}
int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int mkdirat(int directory, const char *path, mode_t mode) {
    REAL(mkdirat);
    char full[PATH_MAX];
    absolute(directory, path, full);
    int result = real(directory, path, mode);
    if (result == 0 && is_below(full)) note_path(MADE, full, NULL);
    return result;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int unlinkat(int directory, const char *path, int flags) {
    REAL(unlinkat);
    char full[PATH_MAX];
    absolute(directory, path, full);
    int result = real(directory, path, flags);
    if (result == 0 && is_below(full)) note_path(UNLINKED, full, NULL);
    return result;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
