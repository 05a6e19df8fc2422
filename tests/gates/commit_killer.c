/* Kills the process that preloads it at the end of a commit of LMDB: its meta page is written and synced, so that the
 * commit is durable, but other processes have not been told of it yet.
 *
 * It is armed for a process by a file named after its pid in the directory of the environment variable COMMIT_KILLER;
 * the file is gone before the process is. Only meta pages are written through a descriptor that syncs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void end_if_armed(int fd) {
    const char *directory = getenv("COMMIT_KILLER");
    char path[4096];
    if (!directory || !(fcntl(fd, F_GETFL) & O_DSYNC)) return;
    snprintf(path, sizeof path, "%s/%d", directory, getpid());
    if (unlink(path) == 0) kill(getpid(), SIGKILL);
}

#define PWRITE(name, offset) \
    ssize_t name(int fd, const void *data, size_t size, offset at) { \
        static __typeof__(name) *real; \
        if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name); \
        ssize_t written = real(fd, data, size, at); \
        end_if_armed(fd); \
        return written; \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
