/* Journals every change that a process makes to the files below a folder, in one order, with contents.
 *
 * Loaded by LD_PRELOAD. POWER_HOME names the folder (absolute), POWER_JOURNAL the file, outside of it, that records are
 * appended to. A change and its record are one step under a lock, so that the journal's order is the disk's. A sync is
 * recorded and not done: what it makes durable is decided by who reads the journal (images.py), and the run is quick.
 *
 * A record: u32 bytes that follow; u32 pid; u8 kind; then, all little endian
 *   'O' open      i32 fd, u8 is_new, u8 is_cut, path
 *   'C' close     i32 fd
 *   'W' write     i32 fd, u64 offset, bytes
 *   'T' truncate  i32 fd (-1: by the path), u64 size, path
 *   'S' sync      i32 fd
 *   'R' rename    u16 bytes of the old path, old path, new path;  'L' link: likewise
 *   'U' unlink    path;  'K' mkdir: path;  'D' rmdir: path
 *   'M' mark      what the harness appends by itself
 * stdio of C (LevelDB's own LOG) is not seen, nor are writes through mmap: nothing here uses them for what counts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char tracked[FDS];
static char home[PATH_MAX];
static size_t home_len;
static int journal = -1;

static void in_child(void) { pthread_mutex_init(&lock, NULL); }
static void before_fork(void) { pthread_mutex_lock(&lock); }
static void after_fork(void) { pthread_mutex_unlock(&lock); }

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("POWER_HOME"), *path = getenv("POWER_JOURNAL");
    if (folder == NULL || path == NULL || strlen(folder) >= sizeof home) return;
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return;
    journal = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900); /* out of the way of whoever counts on low numbers */
    if (journal < 0) journal = fd; else syscall(SYS_close, fd);
    strcpy(home, folder);
    home_len = strlen(home);
    pthread_atfork(before_fork, after_fork, in_child);
}

static void out_of_journal(void) {
    static const char text[] = "power: the journal cannot be written\n";
    syscall(SYS_write, 2, text, sizeof text - 1);
    abort(); /* a record that is missing would make the rest a lie */
}

static void put(char kind, const void *head, size_t head_len, const void *body, size_t body_len) {
    uint32_t size = 5 + head_len + body_len, pid = getpid();
    struct iovec parts[] = {
        {&size, 4}, {&pid, 4}, {&kind, 1}, {(void *)head, head_len}, {(void *)body, body_len}};
    if (syscall(SYS_writev, journal, parts, 5) != (long)size + 4) out_of_journal();
}

/* The absolute path; 0 where it is not below the home. */
static int place(int at, const char *path, char *out) {
    if (journal < 0 || path == NULL) return 0;
    if (path[0] == '/') {
        if (snprintf(out, PATH_MAX, "%s", path) >= PATH_MAX) return 0;
    } else {
        char base[PATH_MAX];
        if (at == AT_FDCWD) {
            if (syscall(SYS_getcwd, base, sizeof base) < 0) return 0;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", at);
            long got = syscall(SYS_readlinkat, AT_FDCWD, link, base, sizeof base - 1);
            if (got < 0) return 0;
            base[got] = 0;
        }
        if (snprintf(out, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return 0;
    }
    return strncmp(out, home, home_len) == 0 && (out[home_len] == '/' || out[home_len] == 0);
}

static int is_tracked(int fd) { return journal >= 0 && fd >= 0 && fd < FDS && tracked[fd]; }

static int do_open(int at, const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    if (!place(at, path, full)) return syscall(SYS_openat, at, path, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat was;
    int existed = syscall(SYS_newfstatat, at, path, &was, 0) == 0;
    int fd = syscall(SYS_openat, at, path, flags, mode), error = errno;
    if (fd >= 0 && fd < FDS) {
        struct { int32_t fd; uint8_t is_new, is_cut; } __attribute__((packed)) head = {
            fd, !existed, existed && (flags & O_TRUNC) != 0};
        put('O', &head, sizeof head, full, strlen(full));
        tracked[fd] = 1;
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

static mode_t mode_of(int flags, va_list words) {
    return (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(words, mode_t) : 0;
}

#define OPENS(name) \
    int name(const char *path, int flags, ...) { \
        va_list words; va_start(words, flags); mode_t mode = mode_of(flags, words); va_end(words); \
        return do_open(AT_FDCWD, path, flags, mode); }
OPENS(open) OPENS(open64)
#define OPENATS(name) \
    int name(int at, const char *path, int flags, ...) { \
        va_list words; va_start(words, flags); mode_t mode = mode_of(flags, words); va_end(words); \
        return do_open(at, path, flags, mode); }
OPENATS(openat) OPENATS(openat64)
int creat(const char *path, mode_t mode) { return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int close(int fd) {
    if (!is_tracked(fd)) return syscall(SYS_close, fd);
    pthread_mutex_lock(&lock);
    int32_t head = fd;
    tracked[fd] = 0;
    put('C', &head, 4, NULL, 0);
    int answer = syscall(SYS_close, fd), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return answer;
}

static void wrote(int fd, uint64_t offset, const struct iovec *parts, int count, size_t left) {
    for (int i = 0; i < count && left > 0; i++) {
        size_t size = parts[i].iov_len < left ? parts[i].iov_len : left;
        struct { int32_t fd; uint64_t offset; } __attribute__((packed)) head = {fd, offset};
        put('W', &head, sizeof head, parts[i].iov_base, size);
        offset += size;
        left -= size;
    }
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!is_tracked(fd)) return syscall(SYS_writev, fd, parts, count);
    pthread_mutex_lock(&lock);
    ssize_t answer = syscall(SYS_writev, fd, parts, count);
    int error = errno;
    if (answer > 0) wrote(fd, syscall(SYS_lseek, fd, 0, SEEK_CUR) - answer, parts, count, answer);
    pthread_mutex_unlock(&lock);
    errno = error;
    return answer;
}

ssize_t write(int fd, const void *data, size_t size) {
    if (!is_tracked(fd)) return syscall(SYS_write, fd, data, size);
    struct iovec part = {(void *)data, size};
    return writev(fd, &part, 1);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    if (!is_tracked(fd)) return syscall(SYS_pwritev, fd, parts, count, offset, 0);
    pthread_mutex_lock(&lock);
    ssize_t answer = syscall(SYS_pwritev, fd, parts, count, offset, 0);
    int error = errno;
    if (answer > 0) wrote(fd, offset, parts, count, answer);
    pthread_mutex_unlock(&lock);
    errno = error;
    return answer;
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    return pwritev(fd, parts, count, offset);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    struct iovec part = {(void *)data, size};
    return pwritev(fd, &part, 1, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return pwrite(fd, data, size, offset); }

/* What the kernel would copy by itself: whoever asks is sent to read and write. */
ssize_t sendfile(int out, int in, off_t *offset, size_t size) {
    if (is_tracked(out)) { errno = EINVAL; return -1; }
    return syscall(SYS_sendfile, out, in, offset, size);
}
ssize_t sendfile64(int out, int in, off64_t *offset, size_t size) { return sendfile(out, in, offset, size); }
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned int flags) {
    if (is_tracked(out)) { errno = EXDEV; return -1; }
    return syscall(SYS_copy_file_range, in, from, out, to, size, flags);
}

static int cut(int fd, const char *full, off_t size, int answer, int error) {
    if (answer == 0) {
        struct { int32_t fd; uint64_t size; } __attribute__((packed)) head = {fd, size};
        put('T', &head, sizeof head, full, strlen(full));
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return answer;
}
int ftruncate(int fd, off_t size) {
    if (!is_tracked(fd)) return syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    int answer = syscall(SYS_ftruncate, fd, size), error = errno;
    return cut(fd, "", size, answer, error);
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }
int truncate(const char *path, off_t size) {
    char full[PATH_MAX];
    if (!place(AT_FDCWD, path, full)) return syscall(SYS_truncate, path, size);
    pthread_mutex_lock(&lock);
    int answer = syscall(SYS_truncate, path, size), error = errno;
    return cut(-1, full, size, answer, error);
}
int truncate64(const char *path, off64_t size) { return truncate(path, size); }
int posix_fallocate(int fd, off_t offset, off_t size) {
    if (is_tracked(fd)) return EOPNOTSUPP;
    return syscall(SYS_fallocate, fd, 0, offset, size) == 0 ? 0 : errno;
}
int fallocate(int fd, int mode, off_t offset, off_t size) {
    if (is_tracked(fd)) { errno = EOPNOTSUPP; return -1; }
    return syscall(SYS_fallocate, fd, mode, offset, size);
}

static int synced(int fd) {
    pthread_mutex_lock(&lock);
    int32_t head = fd;
    put('S', &head, 4, NULL, 0);
    pthread_mutex_unlock(&lock);
    return 0;
}
int fsync(int fd) { return is_tracked(fd) ? synced(fd) : (int)syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return is_tracked(fd) ? synced(fd) : (int)syscall(SYS_fdatasync, fd); }

static int done1(char kind, const char *full, int answer, int error) {
    if (answer == 0) put(kind, NULL, 0, full, strlen(full));
    pthread_mutex_unlock(&lock);
    errno = error;
    return answer;
}
int unlinkat(int at, const char *path, int flags) {
    char full[PATH_MAX];
    if (!place(at, path, full)) return syscall(SYS_unlinkat, at, path, flags);
    pthread_mutex_lock(&lock);
    int answer = syscall(SYS_unlinkat, at, path, flags), error = errno;
    return done1(flags & AT_REMOVEDIR ? 'D' : 'U', full, answer, error);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    int answer = unlink(path);
    return answer != 0 && errno == EISDIR ? rmdir(path) : answer;
}
int mkdirat(int at, const char *path, mode_t mode) {
    char full[PATH_MAX];
    if (!place(at, path, full)) return syscall(SYS_mkdirat, at, path, mode);
    pthread_mutex_lock(&lock);
    int answer = syscall(SYS_mkdirat, at, path, mode), error = errno;
    return done1('K', full, answer, error);
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

static int pair(char kind, int from, const char *old, int to, const char *new, unsigned int flags) {
    char one[PATH_MAX], two[PATH_MAX];
    int call = kind == 'R' ? SYS_renameat2 : SYS_linkat;
    int is_one = place(from, old, one), is_two = place(to, new, two);
    if (!is_one && !is_two) return syscall(call, from, old, to, new, flags);
    pthread_mutex_lock(&lock);
    int answer = syscall(call, from, old, to, new, flags), error = errno;
    if (answer == 0) {
        struct { uint16_t size; char path[PATH_MAX]; } __attribute__((packed)) head;
        head.size = strlen(one);
        memcpy(head.path, one, head.size);
        put(kind, &head, 2 + head.size, two, strlen(two));
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return answer;
}
int rename(const char *old, const char *new) { return pair('R', AT_FDCWD, old, AT_FDCWD, new, 0); }
int renameat(int from, const char *old, int to, const char *new) { return pair('R', from, old, to, new, 0); }
int renameat2(int from, const char *old, int to, const char *new, unsigned int flags) {
    return pair('R', from, old, to, new, flags);
}
int link(const char *old, const char *new) { return pair('L', AT_FDCWD, old, AT_FDCWD, new, 0); }
int linkat(int from, const char *old, int to, const char *new, int flags) {
    return pair('L', from, old, to, new, flags);
}
