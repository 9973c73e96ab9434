/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine as far as placing threads goes: cpus with their cores, packages and NUMA nodes, what this process may use
 * of them, GPUs and network cards with the nodes they are near to. Read from the host, or from a description of another.
 */
#ifndef TG_MACHINE_H
#define TG_MACHINE_H

#include <sched.h>
#include "tg/def.h"

#define MACHINE_CPUS_MAX CPU_SETSIZE
#define MACHINE_NODES_MAX 64 /* bits of machine_device.nodes */
#define MACHINE_DEVICES_MAX 128
#define MACHINE_NAME_BYTES 32
#define MACHINE_WHY_BYTES 256

struct machine_cpu {
    uint16_t number; /* as the kernel counts */
    uint16_t core;   /* the same for siblings; counted over the whole machine */
    uint16_t package;
    uint16_t node;   /* index into nodes */
    uint8_t thread;  /* which of its core's siblings */
    bool allowed;    /* by cpuset, affinity, and the kernel */
};

struct machine_node {
    uint32_t number; /* as the kernel counts */
    uint16_t package;
    uint64_t bytes; /* 0: unknown */
};

enum machine_device_kind { MACHINE_GPU, MACHINE_NIC };

struct machine_device {
    enum machine_device_kind kind;
    char name[MACHINE_NAME_BYTES]; /* an interface's name, a GPU's model where it is known */
    char bus[16];                  /* 0000:18:00.0 */
    uint64_t nodes;                /* bits by index of those it is near to; 0: unknown, or all the same */
};

struct machine {
    uint32_t cpu_count, core_count, package_count, node_count, device_count;
    uint32_t quota_milli; /* cpu time per time, in thousandths, that a cgroup leaves us; 0: no limit */
    bool is_ours;         /* false: a description of another one */
    char model[64];
    struct machine_cpu cpus[MACHINE_CPUS_MAX]; /* by package, node, core, thread */
    struct machine_node nodes[MACHINE_NODES_MAX];
    struct machine_device devices[MACHINE_DEVICES_MAX];
};

/* ---- reading ---------------------------------------------------------------------------------------------- */

/**
 * This host, or the one that an XML file of hwloc's describes (`lstopo FILE.xml` writes one), or a synthetic one
 * ("synthetic:package:2 core:4 pu:2"). @description NULL: this host.
 * Returns 0, or negative errno with the reason in @why.
 */
int machine_read(const char *description, struct machine *out, char why[static MACHINE_WHY_BYTES]);

/** The host when nothing is known but which cpus may be used: each a core of its own, one node. */
void machine_flat(struct machine *out);

/**
 * What cgroups, version 1 or 2, leave this process of cpu time, in thousandths of a cpu; 0: no limit.
 * @root  put before /proc and /sys/fs/cgroup; "" for the real ones
 */
uint32_t machine_quota_milli(const char *root);

/* ---- asking ----------------------------------------------------------------------------------------------- */

/** NULL if there is none of that number. */
const struct machine_cpu *machine_cpu_find(const struct machine *m, uint32_t number);

void machine_allowed(const struct machine *m, cpu_set_t *out);
/** Cores with at least one cpu that is allowed. */
uint32_t machine_cores_allowed(const struct machine *m);
/** How many threads can run at once: allowed cpus, or fewer under a quota; at least 1. */
uint32_t machine_capacity(const struct machine *m);

/* ---- network ---------------------------------------------------------------------------------------------- */

#define MACHINE_NICS_MAX 16

struct machine_nics {
    uint32_t count;
    uint16_t device[MACHINE_NICS_MAX]; /* index into devices */
};

/**
 * Add the cards behind a listening address, "host:port": none for loopback and Unix sockets, every card in use for all
 * addresses, else the card of the interface that has the address, or those below it if it is a bond, bridge or VLAN.
 */
void machine_nics_of_address(const struct machine *m, const char *address, struct machine_nics *out);
/** Add the card that is, or the cards that carry, this interface. @sys stands for /sys. */
void machine_nics_of_interface(const struct machine *m, const char *sys, const char *interface,
                               struct machine_nics *out);

#endif
