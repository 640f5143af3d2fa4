// The lower bound of the cost of passing JPEGs of a camera through: reads frames from a V4L2 device by mmap and writes each
// to one viewer with one call.
//
//     floor DEVICE PORT SECONDS
//
// Prints the nanoseconds of processor time and the frames of SECONDS with a viewer.
#include <fcntl.h>
#include <linux/videodev2.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BUFFERS 4

static long long now_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void need(int good, const char *what) {
    if (!good) perror(what), exit(1);
}

int main(int count, char **words) {
    need(count == 4, "floor DEVICE PORT SECONDS");
    int device = open(words[1], O_RDWR), listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    need(device >= 0 && !bind(listener, (struct sockaddr *)&address, sizeof address) && !listen(listener, 1), "device and port");
    int viewer = accept(listener, NULL, NULL);
    setsockopt(viewer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    char text[4096], head[] = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n";
    need(read(viewer, text, sizeof text) > 0 && write(viewer, head, sizeof head - 1) > 0, "viewer");

    struct v4l2_requestbuffers request = {.count = BUFFERS, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP};
    need(!ioctl(device, VIDIOC_REQBUFS, &request) && request.count <= BUFFERS, "REQBUFS");
    char *frames[BUFFERS];
    struct v4l2_buffer buffer = {.type = request.type, .memory = request.memory};
    for (unsigned i = 0; i < request.count; i++) {
        buffer.index = i;
        need(!ioctl(device, VIDIOC_QUERYBUF, &buffer), "QUERYBUF");
        frames[i] = mmap(NULL, buffer.length, PROT_READ, MAP_SHARED, device, buffer.m.offset);
        need(frames[i] != MAP_FAILED && !ioctl(device, VIDIOC_QBUF, &buffer), "QBUF");
    }
    need(!ioctl(device, VIDIOC_STREAMON, &request.type), "STREAMON");
    long long cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID), end = now_ns(CLOCK_MONOTONIC) + atoi(words[3]) * 1000000000LL;
    int shown = 0;
    for (; now_ns(CLOCK_MONOTONIC) < end; shown++) {
        struct pollfd ready = {.fd = device, .events = POLLIN};
        need(poll(&ready, 1, 5000) == 1 && !ioctl(device, VIDIOC_DQBUF, &buffer), "DQBUF");
        int length = sprintf(text, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %u\r\n\r\n", buffer.bytesused);
        struct iovec part[] = {{text, length}, {frames[buffer.index], buffer.bytesused}, {"\r\n", 2}};
        need(writev(viewer, part, 3) > 0 && !ioctl(device, VIDIOC_QBUF, &buffer), "viewer and QBUF");
    }
    printf("%lld %d\n", now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu, shown);
}
