// What the kernel and OpenBLAS do for namecam, but for what a test orders by a file of eight numbers (shim.rs): the n-th change
// below a folder ends the program or is refused, as are all that follow; the clock is wrong; there are no threads; dlib hangs or
// throws. Loaded by LD_PRELOAD.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <new>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct Orders {
    long countdown; // changes until the fault; 0: none is to come
    long how;       // 0: the program ends; else the errno with which this change and all later ones are refused
    long refusing;  // set at the fault, when `how` is an errno
    long changes;   // how many there were
    long clock_s;   // added to the time of day
    long threads;   // 1: none can be started
    long dlib;      // 1: a multiplication of matrices hangs, 2: it throws
    long reached;   // set at the fault
};
static Orders none;
static volatile Orders *orders = &none;
static char folder[PATH_MAX];

__attribute__((constructor)) static void begin() {
    const char *file = getenv("TORTURE_ORDERS"), *below = getenv("TORTURE_BELOW");
    if (!file || !below || !realpath(below, folder)) return;
    int fd = open(file, O_RDWR | O_CLOEXEC);
    void *map = mmap(nullptr, sizeof(Orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0 && map != MAP_FAILED) orders = static_cast<Orders *>(map);
    if (fd >= 0) close(fd);
}

template <class F> static F next(F, const char *name) { return reinterpret_cast<F>(dlsym(RTLD_NEXT, name)); }
#define NEXT(name) static auto real = next(&name, #name)

static bool is_below(const char *path) {
    return path && folder[0] && (path[0] != '/' || strncmp(path, folder, strlen(folder)) == 0);
}

static bool is_below(int fd) {
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length <= 0) return false;
    path[length] = 0;
    return path[0] == '/' && is_below(path);
}

enum Fate { GOES_ON, ENDS, REFUSED };

static Fate change() {
    __atomic_add_fetch(&orders->changes, 1, __ATOMIC_SEQ_CST);
    if (orders->countdown > 0 && __atomic_sub_fetch(&orders->countdown, 1, __ATOMIC_SEQ_CST) == 0) {
        orders->reached = 1;
        if (!orders->how) return ENDS;
        orders->refusing = 1;
    }
    if (!orders->refusing) return GOES_ON;
    errno = orders->how;
    return REFUSED;
}

// A removal needs no room: a full disk (28) takes it.
static bool may_not(bool below, bool needs_room = true) {
    if (!below || (!needs_room && orders->how == ENOSPC)) return false;
    switch (change()) {
        case ENDS: kill(getpid(), SIGKILL); pause();
        case GOES_ON: return false;
        case REFUSED: return true;
    }
    return false;
}

extern "C" {
int open64(const char *path, int flags, ...) {
    NEXT(open64);
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    return may_not((flags & O_CREAT) && is_below(path)) ? -1 : real(path, flags, mode);
}
int rename(const char *from, const char *to) { NEXT(rename); return may_not(is_below(to), false) ? -1 : real(from, to); }
int mkdir(const char *path, mode_t mode) { NEXT(mkdir); return may_not(is_below(path)) ? -1 : real(path, mode); }
int rmdir(const char *path) { NEXT(rmdir); return may_not(is_below(path), false) ? -1 : real(path); }
int unlink(const char *path) { NEXT(unlink); return may_not(is_below(path), false) ? -1 : real(path); }
int unlinkat(int at, const char *path, int flags) {
    NEXT(unlinkat);
    return may_not(at == AT_FDCWD ? is_below(path) : is_below(at), false) ? -1 : real(at, path, flags);
}
int fsync(int fd) { NEXT(fsync); return may_not(is_below(fd), false) ? -1 : real(fd); }
ssize_t write(int fd, const void *bytes, size_t length) {
    NEXT(write);
    if (!is_below(fd)) return real(fd, bytes, length);
    switch (change()) {
        case ENDS: // the power goes in the middle
            real(fd, bytes, length / 2);
            kill(getpid(), SIGKILL);
            pause();
        case REFUSED: return -1;
        default: return real(fd, bytes, length);
    }
}
int clock_gettime(clockid_t clock, struct timespec *time) {
    NEXT(clock_gettime);
    int result = real(clock, time);
    if (clock == CLOCK_REALTIME && result == 0) time->tv_sec += orders->clock_s;
    return result;
}
int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *with) {
    NEXT(pthread_create);
    return orders->threads ? EAGAIN : real(thread, how, run, with);
}
void cblas_sgemm(int a, int b, int c, int m, int n, int k, float alpha, const float *x, int i, const float *y, int j, float beta,
                 float *z, int l) {
    NEXT(cblas_sgemm);
    while (orders->dlib == 1) usleep(100000);
    if (orders->dlib == 2) throw std::bad_alloc();
    real(a, b, c, m, n, k, alpha, x, i, y, j, beta, z, l);
}
}
