/* Lets what a program writes below a folder be lost, as far as it was not synced: a disk whose cache
 * is gone. Loaded by LD_PRELOAD, for scripts/ledger-power only.
 *
 * LOST_ROOT is the folder, LOST_LOG a file. Before each write the bytes that it overwrites go to the
 * log, and each creation, renaming and removal of a name; behind a sync there is a mark that it was
 * done. With LOST_LIES=1 there is none: a disk that says "synced" and does nothing. Once the program
 * has ended or was killed, scripts/ledger-power takes back what has no mark behind it. A record is
 * in the log before what it takes back is done, so that a kill in between does no harm. Syncs are
 * not passed on, since nobody pulls a plug, but take as long as a disk does, so that kills fall into
 * them; what is written meanwhile is not covered. Calls that don't go through libc are not seen; of
 * those that change something the ledger makes one, fallocate, which changes no content.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
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
#include <unistd.h>

#define FDS 4096
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1, lies;
static const char *root;
static unsigned long backups;
/* How many records there are. */
static uint64_t count_of_records;
/* What a sync takes, in microseconds. */
#define SYNC_TAKES 2000
/* 0: of no interest; 1: a file; 2: a folder, whose name is kept. */
static char kinds[FDS];
static char *folders[FDS];

static int (*real_open)(const char *, int, ...);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_rename)(const char *, const char *);
static int (*real_unlink)(const char *);
static int (*real_close)(int);

__attribute__((constructor)) static void begin(void) {
    real_open = dlsym(RTLD_NEXT, "open64");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_write = dlsym(RTLD_NEXT, "write");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_close = dlsym(RTLD_NEXT, "close");
    root = getenv("LOST_ROOT");
    lies = getenv("LOST_LIES") != NULL;
    const char *log = getenv("LOST_LOG");
    if (root && log)
        log_fd = real_open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (root && log_fd < 0)
        abort();
}

static int below(const char *path) {
    return log_fd >= 0 && path && strncmp(path, root, strlen(root)) == 0;
}

/* One record: kind, four numbers, two names with their lengths, bytes. All in one write. */
static void record(char kind, uint64_t file, uint64_t offset, uint64_t length, const char *one,
                   const char *other, const void *bytes, uint64_t count) {
    uint64_t ones = one ? strlen(one) : 0, others = other ? strlen(other) : 0;
    uint64_t head[6] = {file, offset, length, ones, others, count};
    size_t size = 1 + sizeof head + head[3] + head[4] + count, at = 0;
    char *out = malloc(size);
    if (!out)
        abort();
    out[at++] = kind;
    memcpy(out + at, head, sizeof head), at += sizeof head;
    if (head[3])
        memcpy(out + at, one, head[3]), at += head[3];
    if (head[4])
        memcpy(out + at, other, head[4]), at += head[4];
    if (count)
        memcpy(out + at, bytes, count);
    if (real_write(log_fd, out, size) != (ssize_t)size)
        abort();
    free(out);
    count_of_records++;
}

/* What a file has from there on is about to be overwritten. */
static void record_bytes(int fd, off_t offset, size_t length) {
    struct stat stat;
    if (fstat(fd, &stat))
        abort();
    size_t old = 0;
    if (stat.st_size > offset)
        old = (size_t)(stat.st_size - offset) < length ? (size_t)(stat.st_size - offset) : length;
    char *bytes = malloc(old ? old : 1), name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    /* The file may be open for writing only. */
    int reading = old ? real_open(name, O_RDONLY | O_CLOEXEC) : -1;
    size_t done = 0;
    while (done < old) {
        ssize_t count = pread(reading, bytes + done, old - done, offset + (off_t)done);
        if (count <= 0)
            abort();
        done += (size_t)count;
    }
    if (reading >= 0)
        real_close(reading);
    record('W', stat.st_ino, (uint64_t)offset, (uint64_t)stat.st_size, NULL, NULL, bytes, old);
    free(bytes);
}

static int opened(const char *path, int flags, mode_t mode) {
    if (!below(path))
        return real_open(path, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat stat;
    int was_there = lstat(path, &stat) == 0;
    if ((flags & O_CREAT) && !was_there)
        record('C', 0, 0, 0, path, NULL, NULL, 0);
    if ((flags & O_TRUNC) && was_there) {
        int before = real_open(path, O_RDONLY | O_CLOEXEC);
        if (before >= 0) {
            record_bytes(before, 0, (size_t)stat.st_size);
            real_close(before);
        }
    }
    int fd = real_open(path, flags, mode);
    int saved = errno;
    if (fd >= 0 && fd < FDS) {
        kinds[fd] = fstat(fd, &stat) == 0 && S_ISDIR(stat.st_mode) ? 2 : 1;
        free(folders[fd]);
        folders[fd] = kinds[fd] == 2 ? strdup(path) : NULL;
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return fd;
}

static mode_t mode_of(int flags, va_list list) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

int open64(const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    mode_t mode = mode_of(flags, list);
    va_end(list);
    return opened(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    mode_t mode = mode_of(flags, list);
    va_end(list);
    return opened(path, flags, mode);
}

static int is_file(int fd) { return log_fd >= 0 && fd >= 0 && fd < FDS && kinds[fd] == 1; }

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) {
    if (!is_file(fd))
        return real_pwrite(fd, bytes, count, offset);
    pthread_mutex_lock(&lock);
    record_bytes(fd, offset, count);
    ssize_t done = real_pwrite(fd, bytes, count, offset);
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return done;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    if (!is_file(fd))
        return real_write(fd, bytes, count);
    pthread_mutex_lock(&lock);
    record_bytes(fd, lseek(fd, 0, SEEK_CUR), count);
    ssize_t done = real_write(fd, bytes, count);
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return done;
}

int ftruncate64(int fd, off_t length) {
    if (!is_file(fd))
        return real_ftruncate(fd, length);
    pthread_mutex_lock(&lock);
    struct stat stat;
    if (fstat(fd, &stat) == 0 && stat.st_size > length)
        record_bytes(fd, length, (size_t)(stat.st_size - length));
    int done = real_ftruncate(fd, length);
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return done;
}

static int synced(int fd) {
    if (log_fd < 0 || fd < 0 || fd >= FDS || !kinds[fd])
        return 0;
    pthread_mutex_lock(&lock);
    uint64_t covers = count_of_records;
    pthread_mutex_unlock(&lock);
    usleep(SYNC_TAKES);
    pthread_mutex_lock(&lock);
    struct stat stat;
    if (!lies && fstat(fd, &stat) == 0) {
        if (kinds[fd] == 2)
            record('D', 0, covers, 0, folders[fd], NULL, NULL, 0);
        else
            record('S', stat.st_ino, covers, 0, NULL, NULL, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }

/* Keeps what is about to lose its name. */
static void back_up(const char *path, char *backup, size_t size) {
    struct stat stat;
    backup[0] = 0;
    if (lstat(path, &stat))
        return;
    snprintf(backup, size, "%s.%d.%lu", getenv("LOST_LOG"), (int)getpid(), backups++);
    if (link(path, backup))
        abort();
}

int rename(const char *from, const char *to) {
    if (!below(from) && !below(to))
        return real_rename(from, to);
    pthread_mutex_lock(&lock);
    char backup[PATH_MAX];
    back_up(to, backup, sizeof backup);
    record('R', 0, 0, 0, from, to, backup, strlen(backup));
    int done = real_rename(from, to);
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return done;
}

int unlink(const char *path) {
    if (!below(path))
        return real_unlink(path);
    pthread_mutex_lock(&lock);
    char backup[PATH_MAX];
    back_up(path, backup, sizeof backup);
    if (backup[0])
        record('U', 0, 0, 0, path, NULL, backup, strlen(backup));
    int done = real_unlink(path);
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return done;
}

int close(int fd) {
    if (log_fd >= 0 && fd >= 0 && fd < FDS) {
        pthread_mutex_lock(&lock);
        kinds[fd] = 0;
        pthread_mutex_unlock(&lock);
    }
    return real_close(fd);
}
