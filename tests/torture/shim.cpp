// What the kernel and OpenBLAS do for namecam, but for what a test orders by a file of numbers (shim.rs): the n-th change
// below a folder ends the program or is refused, as are all that follow; the clock is wrong; there are no threads; dlib hangs or
// throws. A file `video77` is a V4L2 device that delivers the JPEG in it, and may hang. Loaded by LD_PRELOAD.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/videodev2.h>
#include <new>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
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
    long device;    // 1: the device hangs when a picture is taken from it
    long jpeg_bytes; // the length of the device's JPEG
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

// The answers of a webcam with one mode, 640x480 at 20 frames a second. Its buffers are parts of the file, each with the JPEG.
enum { WIDTH = 640, HEIGHT = 480, FPS = 20, BUFFERS = 4, BUFFER_BYTES = 1 << 18 };

static long refused(int error) { errno = error; return -1; }

static double monotonic_s() {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static long dequeue(struct v4l2_buffer *buffer) {
    static double due_s;
    static unsigned sequence;
    while (orders->device == 1) usleep(100000);
    if (monotonic_s() < due_s) {
        usleep(10000);
        return refused(EAGAIN);
    }
    due_s = monotonic_s() + 1.0 / FPS;
    buffer->index = sequence % BUFFERS;
    buffer->sequence = sequence++;
    buffer->bytesused = orders->jpeg_bytes;
    return 0;
}

static long camera(unsigned request, void *argument) {
    auto set = [](struct v4l2_fract *fraction) { fraction->numerator = 1, fraction->denominator = FPS; };
    switch (request) {
        case VIDIOC_QUERYCAP: {
            auto *about = static_cast<struct v4l2_capability *>(argument);
            strcpy((char *)about->driver, "torture");
            strcpy((char *)about->card, "A webcam of a test");
            strcpy((char *)about->bus_info, "usb-1");
            about->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
            about->capabilities = about->device_caps | V4L2_CAP_DEVICE_CAPS;
            return 0;
        }
        case VIDIOC_ENUM_FMT: {
            auto *format = static_cast<struct v4l2_fmtdesc *>(argument);
            format->pixelformat = V4L2_PIX_FMT_MJPEG;
            return format->index ? refused(EINVAL) : 0;
        }
        case VIDIOC_ENUM_FRAMESIZES: {
            auto *size = static_cast<struct v4l2_frmsizeenum *>(argument);
            size->type = V4L2_FRMSIZE_TYPE_DISCRETE;
            size->discrete.width = WIDTH, size->discrete.height = HEIGHT;
            return size->index ? refused(EINVAL) : 0;
        }
        case VIDIOC_ENUM_FRAMEINTERVALS: {
            auto *interval = static_cast<struct v4l2_frmivalenum *>(argument);
            interval->type = V4L2_FRMIVAL_TYPE_DISCRETE;
            set(&interval->discrete);
            return interval->index ? refused(EINVAL) : 0;
        }
        case VIDIOC_S_FMT: {
            auto *pixels = &static_cast<struct v4l2_format *>(argument)->fmt.pix;
            pixels->width = WIDTH, pixels->height = HEIGHT, pixels->pixelformat = V4L2_PIX_FMT_MJPEG;
            pixels->bytesperline = 0, pixels->sizeimage = BUFFER_BYTES;
            return 0;
        }
        case VIDIOC_G_PARM:
        case VIDIOC_S_PARM: {
            auto *capture = &static_cast<struct v4l2_streamparm *>(argument)->parm.capture;
            capture->capability = V4L2_CAP_TIMEPERFRAME;
            set(&capture->timeperframe);
            return 0;
        }
        case VIDIOC_REQBUFS: {
            auto *buffers = static_cast<struct v4l2_requestbuffers *>(argument);
            buffers->count = buffers->count ? BUFFERS : 0;
            return 0;
        }
        case VIDIOC_QUERYBUF: {
            auto *buffer = static_cast<struct v4l2_buffer *>(argument);
            buffer->length = BUFFER_BYTES, buffer->m.offset = buffer->index * BUFFER_BYTES;
            return 0;
        }
        case VIDIOC_DQBUF: return dequeue(static_cast<struct v4l2_buffer *>(argument));
        case VIDIOC_QBUF:
        case VIDIOC_STREAMON:
        case VIDIOC_STREAMOFF: return 0;
        default: return refused(ENOTTY);
    }
}

static bool is_camera(int fd) {
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    return length > 8 && memcmp(path + length - 8, "/video77", 8) == 0;
}

extern "C" {
// The crate v4l makes its ioctls by this.
long syscall(long number, ...) {
    NEXT(syscall);
    va_list rest;
    va_start(rest, number);
    long words[6];
    for (long &word : words) word = va_arg(rest, long);
    va_end(rest);
    if (number == SYS_ioctl && is_camera(words[0])) return camera(words[1], (void *)words[2]);
    return real(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}
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
