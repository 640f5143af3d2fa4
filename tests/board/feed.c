// The camera of the emulated board. Adds a device of v4l2loopback and writes pictures to it at a steady rate.
//
//     feed NUMBER FOURCC WIDTH HEIGHT FPS frame|plug FILE...
//
// Each FILE is a picture in the format FOURCC. With `frame` the next one is shown at each frame, with `plug` each time
// the camera is plugged in. SIGUSR1 unplugs the camera, and plugs it in again AWAY_MS later. SIGTERM unplugs it and ends.
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "v4l2loopback.h"

// tests/board/board.py uses the same number.
#define AWAY_MS 300
#define SECOND_NS 1000000000L

struct picture {
    char *bytes;
    size_t length;
};

static struct {
    int control, device, number;
    unsigned fourcc, width, height, fps;
} camera;

static volatile sig_atomic_t replug, over;

static void on_signal(int signal) {
    if (signal == SIGUSR1) replug = 1;
    else over = 1;
}

static void fail(const char *what) {
    fprintf(stderr, "feed: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct picture load(const char *path) {
    int file = open(path, O_RDONLY);
    struct stat about;
    if (file < 0 || fstat(file, &about) < 0) fail(path);
    struct picture picture = {malloc(about.st_size), about.st_size};
    if (!picture.bytes || read(file, picture.bytes, picture.length) != about.st_size) fail(path);
    close(file);
    return picture;
}

static void plug(void) {
    struct v4l2_loopback_config config = {.output_nr = camera.number, .unused = camera.number, .card_label = "Board camera"};
    camera.number = ioctl(camera.control, V4L2LOOPBACK_CTL_ADD, &config);
    if (camera.number < 0) fail("the device cannot be added");

    char path[32];
    snprintf(path, sizeof path, "/dev/video%d", camera.number);
    camera.device = open(path, O_RDWR);
    if (camera.device < 0) fail(path);

    struct v4l2_format format = {.type = V4L2_BUF_TYPE_VIDEO_OUTPUT};
    format.fmt.pix = (struct v4l2_pix_format){
        .width = camera.width, .height = camera.height, .pixelformat = camera.fourcc, .field = V4L2_FIELD_NONE,
        .sizeimage = camera.width * camera.height * 3};
    if (ioctl(camera.device, VIDIOC_S_FMT, &format) < 0) fail("VIDIOC_S_FMT");
    if (format.fmt.pix.pixelformat != camera.fourcc || format.fmt.pix.width != camera.width || format.fmt.pix.height != camera.height) {
        errno = EINVAL;
        fail("the format is refused");
    }
    struct v4l2_streamparm rate = {.type = V4L2_BUF_TYPE_VIDEO_OUTPUT};
    rate.parm.output.timeperframe = (struct v4l2_fract){1, camera.fps};
    if (ioctl(camera.device, VIDIOC_S_PARM, &rate) < 0) fail("VIDIOC_S_PARM");
}

static void unplug(void) {
    // Removes the device while this program and its readers have it open, like an unplugged cable.
    if (ioctl(camera.control, V4L2LOOPBACK_CTL_REMOVE, camera.number) < 0) fail("the device cannot be removed");
    close(camera.device);
}

// Waits until `next`, and advances it by one frame. A late camera does not catch up.
static void wait_for(struct timespec *next) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    next->tv_nsec += SECOND_NS / camera.fps;
    if (next->tv_nsec >= SECOND_NS) {
        next->tv_nsec -= SECOND_NS;
        next->tv_sec++;
    }
    double late = (now.tv_sec - next->tv_sec) + (now.tv_nsec - next->tv_nsec) / (double)SECOND_NS;
    if (late > 0.1) *next = now;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL);
}

int main(int count, char **words) {
    if (count < 8 || strlen(words[2]) != 4 || atoi(words[5]) < 1) {
        fputs("usage: feed NUMBER FOURCC WIDTH HEIGHT FPS frame|plug FILE...\n", stderr);
        return 2;
    }
    camera.number = atoi(words[1]);
    camera.fourcc = v4l2_fourcc(words[2][0], words[2][1], words[2][2], words[2][3]);
    camera.width = atoi(words[3]), camera.height = atoi(words[4]), camera.fps = atoi(words[5]);
    int each_frame = strcmp(words[6], "frame") == 0, pictures = count - 7, shown = 0;
    struct picture *picture = calloc(pictures, sizeof *picture);
    for (int i = 0; i < pictures; i++) picture[i] = load(words[7 + i]);

    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    camera.control = open("/dev/v4l2loopback", O_RDWR);
    if (camera.control < 0) fail("/dev/v4l2loopback");

    plug();
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    while (!over) {
        const struct picture *now = &picture[shown % pictures];
        if (write(camera.device, now->bytes, now->length) < 0 && errno != EINTR) fail("write");
        shown += each_frame;
        if (replug) {
            replug = 0;
            unplug();
            nanosleep(&(struct timespec){.tv_nsec = AWAY_MS * 1000000L}, NULL);
            plug();
            shown += !each_frame;
        }
        wait_for(&next);
    }
    unplug();
    return 0;
}
