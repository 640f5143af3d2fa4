/* A plugin for qemu that counts instructions: in user mode it prints the sum at the end; with `into=FILE` it keeps the
   count of each processor in that file, as 64-bit numbers that can be read at any time. The few declarations of
   qemu-plugin.h (API version 1) that it needs are repeated here, because Debian does not package that header. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*cb)(unsigned, void *),
                                          enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t, void *), void *data);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/* Further processors share the slots, so counts may be lost. */
#define SLOTS 16
static uint64_t own[SLOTS], *slots = own;

static void executed(unsigned processor, void *instructions) {
    slots[processor % SLOTS] += (uintptr_t)instructions;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    void *instructions = (void *)(uintptr_t)qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, QEMU_PLUGIN_CB_NO_REGS, instructions);
}

static void ended(qemu_plugin_id_t id, void *data) {
    (void)id;
    (void)data;
    uint64_t sum = 0;
    for (int i = 0; i < SLOTS; i++) sum += slots[i];
    fprintf(stderr, "instructions %" PRIu64 "\n", sum);
}

static bool keep_in(const char *path) {
    int file = open(path, O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, sizeof own) < 0) return false;
    slots = mmap(NULL, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return slots != MAP_FAILED;
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc,
                                                               char **argv) {
    (void)info;
    if (argc > 0 && !strncmp(argv[0], "into=", 5) && !keep_in(argv[0] + 5)) {
        perror(argv[0]);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
