/* SPDX-License-Identifier: Apache-2.0 */
/* A machine as hwloc sees it: this one through /proc and /sys, or one that an XML file or a few words describe. */
#include <errno.h>
#include <hwloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "machine.h"

#define SYNTHETIC "synthetic:"
#define PCI_VENDOR_NVIDIA 0x10de
#define PCI_CLASS_VGA 0x0300
#define PCI_CLASS_3D 0x0302

__attribute__((format(printf, 3, 4))) static int fail(int rc, char why[static MACHINE_WHY_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, MACHINE_WHY_BYTES, format, args);
    va_end(args);
    return rc;
}

/* Names are printed in three formats; what would need escaping in any of them is not worth having. */
static void copy_name(char *out, size_t bytes, const char *name)
{
    size_t n = 0;
    for (; name && *name && n + 1 < bytes; name++)
        out[n++] = *name < 0x20 || *name > 0x7e || strchr("\"\\<>&'", *name) ? '?' : *name;
    out[n] = '\0';
}

/* ---- cpus and nodes --------------------------------------------------------------------------------------- */

static unsigned index_of_ancestor(hwloc_topology_t t, hwloc_obj_t obj, hwloc_obj_type_t type, unsigned otherwise)
{
    hwloc_obj_t up = hwloc_get_ancestor_obj_by_type(t, type, obj);
    return up ? up->logical_index : otherwise;
}

/* The node a cpu belongs to, as an index. Where nodes without cpus are near as well, such as a GPU's memory, the first
 * one is the main memory. */
static unsigned node_of(hwloc_topology_t t, hwloc_const_nodeset_t nodes)
{
    int first = nodes ? hwloc_bitmap_first(nodes) : -1;
    hwloc_obj_t node = first < 0 ? NULL : hwloc_get_numanode_obj_by_os_index(t, (unsigned)first);
    return node && node->logical_index < MACHINE_NODES_MAX ? node->logical_index : 0;
}

static unsigned rank_among_siblings(hwloc_topology_t t, hwloc_obj_t pu)
{
    hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(t, HWLOC_OBJ_CORE, pu);
    return core ? pu->logical_index - hwloc_get_obj_below_by_type(t, HWLOC_OBJ_CORE, core->logical_index,
                                                                  HWLOC_OBJ_PU, 0)->logical_index
                : 0;
}

/* Cores that hwloc does not report are one for each cpu. */
static void add_cpu(hwloc_topology_t t, hwloc_obj_t pu, hwloc_const_bitmap_t allowed, struct machine *m)
{
    if (m->cpu_count == MACHINE_CPUS_MAX || pu->os_index >= MACHINE_CPUS_MAX)
        return;
    struct machine_cpu c = {
        .number = (uint16_t)pu->os_index,
        .core = (uint16_t)index_of_ancestor(t, pu, HWLOC_OBJ_CORE, pu->logical_index),
        .package = (uint16_t)index_of_ancestor(t, pu, HWLOC_OBJ_PACKAGE, 0),
        .node = (uint16_t)node_of(t, pu->nodeset),
        .thread = (uint8_t)rank_among_siblings(t, pu),
        .allowed = hwloc_bitmap_isset(allowed, pu->os_index),
    };
    m->core_count = TG_MAX(m->core_count, c.core + 1u);
    m->package_count = TG_MAX(m->package_count, c.package + 1u);
    m->cpus[m->cpu_count++] = c;
}

/* What cpusets leave us, and of that what the affinity we were started with does. */
static hwloc_bitmap_t allowed_cpus(hwloc_topology_t t, bool ours)
{
    hwloc_bitmap_t allowed = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(t));
    hwloc_bitmap_t bound = hwloc_bitmap_alloc();
    if (allowed && bound && ours && hwloc_get_cpubind(t, bound, HWLOC_CPUBIND_THREAD) == 0)
        hwloc_bitmap_and(allowed, allowed, bound);
    hwloc_bitmap_free(bound);
    return allowed;
}

static int read_cpus(hwloc_topology_t t, struct machine *m)
{
    hwloc_bitmap_t allowed = allowed_cpus(t, m->is_ours);
    if (!allowed)
        return -ENOMEM;
    for (hwloc_obj_t pu = NULL; (pu = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_PU, pu));)
        add_cpu(t, pu, allowed, m);
    hwloc_bitmap_free(allowed);
    return m->cpu_count > 0 ? 0 : -ENODEV;
}

static uint16_t package_of_node(hwloc_obj_t node)
{
    for (hwloc_obj_t up = node->parent; up; up = up->parent)
        if (up->type == HWLOC_OBJ_PACKAGE)
            return (uint16_t)up->logical_index;
    return 0;
}

static void read_nodes(hwloc_topology_t t, struct machine *m)
{
    for (hwloc_obj_t node = NULL; (node = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_NUMANODE, node));) {
        if (node->logical_index >= MACHINE_NODES_MAX)
            continue;
        m->nodes[node->logical_index] = (struct machine_node){
            .number = node->os_index,
            .package = package_of_node(node),
            .bytes = node->attr->numanode.local_memory,
        };
        m->node_count = TG_MAX(m->node_count, node->logical_index + 1);
    }
    m->node_count = TG_MAX(m->node_count, 1u);
}

/* ---- devices ---------------------------------------------------------------------------------------------- */

/* As bits; 0 where it is near to all of them. */
static uint64_t nodes_near(hwloc_topology_t t, hwloc_obj_t device, uint32_t node_count)
{
    hwloc_obj_t near = hwloc_get_non_io_ancestor_obj(t, device);
    uint64_t bits = 0;
    uint32_t count = 0;
    for (hwloc_obj_t node = NULL; near && (node = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_NUMANODE, node));) {
        if (node->logical_index >= MACHINE_NODES_MAX || !hwloc_bitmap_isset(near->nodeset, node->os_index))
            continue;
        bits |= UINT64_C(1) << node->logical_index;
        count++;
    }
    return count < node_count ? bits : 0;
}

static void add_device(hwloc_topology_t t, hwloc_obj_t pci, const char *name, enum machine_device_kind kind,
                       struct machine *m)
{
    if (m->device_count == MACHINE_DEVICES_MAX)
        return;
    const struct hwloc_pcidev_attr_s *a = &pci->attr->pcidev;
    struct machine_device *d = &m->devices[m->device_count++];
    *d = (struct machine_device){.kind = kind, .nodes = nodes_near(t, pci, m->node_count)};
    snprintf(d->bus, sizeof(d->bus), "%04x:%02x:%02x.%01x", (unsigned)a->domain & 0xffff, a->bus, a->dev, a->func & 7u);
    copy_name(d->name, sizeof(d->name), name);
}

static bool is_gpu(hwloc_obj_t pci)
{
    const struct hwloc_pcidev_attr_s *a = &pci->attr->pcidev;
    return a->vendor_id == PCI_VENDOR_NVIDIA && (a->class_id == PCI_CLASS_VGA || a->class_id == PCI_CLASS_3D);
}

/* A virtual function's or a virtio card's interface hangs below its PCI device like any other. */
static hwloc_obj_t pci_above(hwloc_obj_t os)
{
    hwloc_obj_t up = os->parent;
    while (up && up->type != HWLOC_OBJ_PCI_DEVICE)
        up = up->parent;
    return up;
}

/* GPUs first: hundreds of virtual network functions must not crowd them out. */
static void read_devices(hwloc_topology_t t, struct machine *m)
{
    for (hwloc_obj_t pci = NULL; (pci = hwloc_get_next_pcidev(t, pci));)
        if (is_gpu(pci))
            add_device(t, pci, pci->name, MACHINE_GPU, m);
    for (hwloc_obj_t os = NULL; (os = hwloc_get_next_osdev(t, os));)
        if (os->attr->osdev.type == HWLOC_OBJ_OSDEV_NETWORK && pci_above(os))
            add_device(t, pci_above(os), os->name, MACHINE_NIC, m);
}

/* ---- the whole -------------------------------------------------------------------------------------------- */

static int set_source(hwloc_topology_t t, const char *description, char why[static MACHINE_WHY_BYTES])
{
    size_t prefix = strlen(SYNTHETIC);
    if (!description)
        return 0;
    if (strncmp(description, SYNTHETIC, prefix) == 0)
        return hwloc_topology_set_synthetic(t, description + prefix) == 0
                   ? 0
                   : fail(-EINVAL, why, "\"%.100s\" does not describe a machine", description + prefix);
    FILE *f = fopen(description, "re"); /* hwloc would not tell a missing file from one it cannot read */
    if (!f)
        return fail(-errno, why, "%.100s: %s", description, strerror(errno));
    fclose(f);
    return hwloc_topology_set_xml(t, description) == 0 ? 0
                                                       : fail(-EINVAL, why, "%.100s is no XML of hwloc", description);
}

static int load(hwloc_topology_t t, const char *description, char why[static MACHINE_WHY_BYTES])
{
    int rc = set_source(t, description, why);
    if (rc < 0)
        return rc;
    hwloc_topology_set_flags(t, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
    hwloc_topology_set_io_types_filter(t, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if (hwloc_topology_load(t) == 0)
        return 0;
    return description ? fail(-EINVAL, why, "%.100s cannot be read as a machine", description)
                       : fail(-EIO, why, "hwloc cannot read this machine: %s", strerror(errno));
}

static int describe(hwloc_topology_t t, struct machine *m)
{
    hwloc_obj_t package = hwloc_get_obj_by_type(t, HWLOC_OBJ_PACKAGE, 0);
    const char *model = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;
    copy_name(m->model, sizeof(m->model), model ? model : "unknown");
    read_nodes(t, m);
    int rc = read_cpus(t, m);
    read_devices(t, m);
    return rc;
}

int machine_read(const char *description, struct machine *out, char why[static MACHINE_WHY_BYTES])
{
    hwloc_topology_t t;
    if (hwloc_topology_init(&t) < 0)
        return fail(-ENOMEM, why, "out of memory");
    *out = (struct machine){.is_ours = !description};
    int rc = load(t, description, why);
    if (rc == 0) {
        rc = describe(t, out);
        if (rc < 0)
            fail(rc, why, "no cpu was found");
    }
    hwloc_topology_destroy(t);
    if (rc == 0 && out->is_ours)
        out->quota_milli = machine_quota_milli("");
    return rc;
}
