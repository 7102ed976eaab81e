/* A layer of faults under one process, for tests: loaded before the C library (LD_PRELOAD).
 *
 * DCHAT_FAULTS names a file that is read at every call that is looked at. Its lines:
 *   refuse ERRNO TEXT     writing to files whose path has TEXT in it fails with that number
 *   clock SECONDS         the wall clock is so much ahead (below 0: behind); the monotonic one stays as it is
 * Where the C library calls itself (fopen's writing, for one), nothing is refused.
 * Without the file, or without such a line, everything is as it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static long told(char *text, size_t size) {
    const char *path = getenv("DCHAT_FAULTS");
    if (!path) return 0;
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    long length = syscall(SYS_read, fd, text, size - 1);
    syscall(SYS_close, fd);
    text[length > 0 ? length : 0] = 0;
    return length;
}

static int refused(const char *path) {
    char text[4096], *rest, *line;
    int before = errno;
    if (told(text, sizeof text) > 0)
        for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
            int number;
            char part[1024];
            if (sscanf(line, "refuse %d %1023s", &number, part) == 2 && strstr(path, part)) {
                errno = number;
                return 1;
            }
        }
    errno = before;
    return 0;
}

static int refused_fd(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlink, link, path, sizeof path - 1);
    if (length <= 0 || path[0] != '/') return 0;
    path[length] = 0;
    return refused(path);
}

static long long offset_s(void) {
    char text[4096], *rest, *line;
    long long seconds = 0;
    int before = errno;
    if (told(text, sizeof text) > 0)
        for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            sscanf(line, "clock %lld", &seconds);
    errno = before;
    return seconds;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPENS(name)                                                                                                    \
    int name(const char *path, int flags, ...) {                                                                       \
        mode_t mode = 0;                                                                                               \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        if (flags & (O_CREAT | __O_TMPFILE)) mode = va_arg(more, mode_t);                                              \
        va_end(more);                                                                                                  \
        if ((flags & (O_WRONLY | O_RDWR | O_CREAT)) && refused(path)) return -1;                                       \
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);                                                  \
    }
OPENS(open)
OPENS(open64)

ssize_t write(int fd, const void *data, size_t size) {
    return refused_fd(fd) ? -1 : syscall(SYS_write, fd, data, size);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    return refused_fd(fd) ? -1 : syscall(SYS_writev, fd, parts, count);
}
int fsync(int fd) { return refused_fd(fd) ? -1 : (int)syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return refused_fd(fd) ? -1 : (int)syscall(SYS_fdatasync, fd); }
int ftruncate(int fd, off_t size) { return refused_fd(fd) ? -1 : (int)syscall(SYS_ftruncate, fd, size); }
int rename(const char *old, const char *new) {
    return refused(new) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, 0);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static __typeof__(&clock_gettime) next;
    if (!next) next = NEXT(clock_gettime);
    int result = next(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset_s();
    return result;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    *now = (struct timeval){exact.tv_sec, exact.tv_nsec / 1000};
    return 0;
}
time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}
