/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan as a picture: packages hold nodes, nodes hold cores with their siblings one below the other, and devices
 * stand at the right of the node they are near to. Names come from copy_name() of machine_hwloc.c and need no escaping.
 */
#include "print.h"

enum {
    MARGIN = 16,
    GAP = 8,
    CPU_W = 34,
    CPU_H = 18,
    CORE_GAP = 6,
    CORES_PER_ROW = 16,
    DEVICE_W = 270,
    DEVICE_H = 22,
    HEAD = 24, /* a box's title */
    TITLE = 56,
    LEGEND = 34,
};

struct drawing {
    FILE *out;
    const struct machine *m;
    const struct topology_plan *plan;
    uint32_t threads, columns; /* siblings of a core; cores in a row */
};

/* ---- sizes ------------------------------------------------------------------------------------------------ */

static uint32_t cores_of(const struct machine *m, uint32_t node)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->cpu_count; i++)
        n += m->cpus[i].node == node && m->cpus[i].thread == 0;
    return n;
}

static uint32_t devices_at(const struct machine *m, int node)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->device_count; i++)
        n += topology_device_at(m, &m->devices[i], node);
    return n;
}

static void measure(struct drawing *d)
{
    d->threads = d->columns = 1;
    for (uint32_t i = 0; i < d->m->cpu_count; i++)
        d->threads = TG_MAX(d->threads, d->m->cpus[i].thread + 1u);
    for (uint32_t node = 0; node < d->m->node_count; node++)
        d->columns = TG_MAX(d->columns, cores_of(d->m, node));
    d->columns = TG_MIN(d->columns, (uint32_t)CORES_PER_ROW);
    d->columns = TG_MAX(d->columns, 8u); /* room for a box's title */
}

static uint32_t core_height(const struct drawing *d)
{
    return d->threads * CPU_H + CORE_GAP;
}

static uint32_t grid_width(const struct drawing *d)
{
    return d->columns * (CPU_W + CORE_GAP);
}

static uint32_t node_height(const struct drawing *d, uint32_t node)
{
    uint32_t rows = (cores_of(d->m, node) + d->columns - 1) / d->columns;
    return HEAD + TG_MAX(rows * core_height(d), devices_at(d->m, (int)node) * (DEVICE_H + 4)) + GAP;
}

static uint32_t package_height(const struct drawing *d, uint32_t package)
{
    uint32_t height = HEAD;
    for (uint32_t node = 0; node < d->m->node_count; node++)
        if (d->m->nodes[node].package == package)
            height += node_height(d, node) + GAP;
    return height;
}

static uint32_t node_width(const struct drawing *d)
{
    return GAP + grid_width(d) + GAP + DEVICE_W + GAP;
}

static uint32_t width(const struct drawing *d)
{
    return 2 * MARGIN + 2 * GAP + node_width(d);
}

static uint32_t loose_devices(const struct drawing *d)
{
    return d->m->node_count > 1 ? devices_at(d->m, -1) : 0;
}

static uint32_t height(const struct drawing *d)
{
    uint32_t sum = TITLE + LEGEND + MARGIN + loose_devices(d) * (DEVICE_H + 4);
    for (uint32_t package = 0; package < d->m->package_count; package++)
        sum += topology_nodes(d->m, package) ? package_height(d, package) + GAP : 0;
    return sum;
}

/* ---- parts ------------------------------------------------------------------------------------------------ */

static void box(const struct drawing *d, const char *class, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    fprintf(d->out, "<rect class=\"%s\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" rx=\"3\"/>\n", class, x, y, w, h);
}

static void open_text(const struct drawing *d, const char *class, uint32_t x, uint32_t y)
{
    fprintf(d->out, "<text class=\"%s\" x=\"%u\" y=\"%u\">", class, x, y);
}

static const char *class_of(const struct drawing *d, const struct machine_cpu *c, char tenant)
{
    if (tenant)
        return tenant == 'E' ? "executor" : "worker";
    if (!c->allowed)
        return "refused";
    return CPU_ISSET(c->number, &d->plan->others) ? "other" : "idle";
}

static void draw_cpu(const struct drawing *d, const struct machine_cpu *c, uint32_t x, uint32_t y)
{
    struct topology_tenant t = topology_tenant(d->plan, c->number);
    const char *class = class_of(d, c, t.letter);
    fprintf(d->out, "<g><title>cpu %u%s%s</title>\n", c->number, t.letter ? ": " : "", t.letter ? t.seat->reason : "");
    box(d, class, x, y, CPU_W, CPU_H);
    fprintf(d->out, "<text class=\"cpu %s-text\" x=\"%u\" y=\"%u\">", class, x + CPU_W / 2, y + 13);
    if (t.letter)
        fprintf(d->out, "%c%u</text></g>\n", t.letter, t.index);
    else
        fprintf(d->out, "%u</text></g>\n", c->number);
}

static void draw_cores(const struct drawing *d, uint32_t node, uint32_t x, uint32_t y)
{
    uint32_t place = UINT32_MAX, core = UINT32_MAX;
    for (uint32_t i = 0; i < d->m->cpu_count; i++) {
        const struct machine_cpu *c = &d->m->cpus[i];
        if (c->node != node)
            continue;
        place += c->core != core; /* siblings follow one another */
        core = c->core;
        draw_cpu(d, c, x + place % d->columns * (CPU_W + CORE_GAP),
                 y + place / d->columns * core_height(d) + c->thread * CPU_H);
    }
}

static void write_tenants(const struct drawing *d, const struct topology_seat *seats, uint32_t count, char letter,
                          uint32_t device)
{
    for (uint32_t i = 0; i < count; i++)
        if (seats[i].device == (int)device)
            fprintf(d->out, " %c%u", letter, i);
}

static void draw_device(const struct drawing *d, uint32_t index, uint32_t x, uint32_t y)
{
    const struct machine_device *device = &d->m->devices[index];
    box(d, device->kind == MACHINE_GPU ? "gpu" : "nic", x, y, DEVICE_W, DEVICE_H);
    open_text(d, "device", x + 6, y + 15);
    fprintf(d->out, "%s %s %s</text>\n", device->kind == MACHINE_GPU ? "GPU" : "NIC", device->bus, device->name);
    open_text(d, "who", x + DEVICE_W - 6, y + 15);
    write_tenants(d, d->plan->executors, d->plan->executor_count, 'E', index);
    write_tenants(d, d->plan->workers, d->plan->worker_count, 'W', index);
    fputs("</text>\n", d->out);
}

static void draw_devices(const struct drawing *d, int node, uint32_t x, uint32_t y)
{
    for (uint32_t i = 0; i < d->m->device_count; i++) {
        if (!topology_device_at(d->m, &d->m->devices[i], node))
            continue;
        draw_device(d, i, x, y);
        y += DEVICE_H + 4;
    }
}

static void draw_node(const struct drawing *d, uint32_t node, uint32_t y)
{
    char bytes[32];
    uint32_t x = MARGIN + GAP;
    box(d, "node", x, y, node_width(d), node_height(d, node));
    open_text(d, "title", x + GAP, y + 16);
    fprintf(d->out, "node %u%s%s</text>\n", d->m->nodes[node].number, d->m->nodes[node].bytes ? ", " : "",
            topology_bytes(d->m->nodes[node].bytes, bytes));
    draw_cores(d, node, x + GAP, y + HEAD);
    draw_devices(d, (int)node, x + GAP + grid_width(d) + GAP, y + HEAD);
}

static uint32_t draw_package(const struct drawing *d, uint32_t package, uint32_t y)
{
    uint32_t whole = package_height(d, package), inner = y + HEAD;
    if (topology_nodes(d->m, package) == 0)
        return y;
    box(d, "package", MARGIN, y, width(d) - 2 * MARGIN, whole);
    open_text(d, "title", MARGIN + GAP, y + 16);
    fprintf(d->out, "package %u</text>\n", package);
    for (uint32_t node = 0; node < d->m->node_count; node++) {
        if (d->m->nodes[node].package != package)
            continue;
        draw_node(d, node, inner);
        inner += node_height(d, node) + GAP;
    }
    return y + whole + GAP;
}

/* ---- the whole -------------------------------------------------------------------------------------------- */

static const char style[] =
    "<style>text{font-family:sans-serif;font-size:12px;fill:#222}.cpu{font-size:11px;text-anchor:middle}"
    ".head{font-size:15px;font-weight:bold}.small,.who{fill:#555}.who{font-weight:bold;text-anchor:end}"
    ".paper{fill:#fff}.package{fill:#f4f4f1;stroke:#888}.node{fill:#fff;stroke:#aaa}"
    ".worker{fill:#2f6fb3;stroke:#1f4f83}.executor{fill:#c8641b;stroke:#8f440d}.worker-text,.executor-text{fill:#fff}"
    ".other{fill:#e3ecf5;stroke:#9ab}.idle{fill:#fff;stroke:#bbb}.idle-text{fill:#999}"
    ".refused{fill:#eee;stroke:#ddd}.refused-text{fill:#bbb}"
    ".gpu{fill:#fbe9dc;stroke:#c8641b}.nic{fill:#e6f0e4;stroke:#5a8f4f}</style>\n";

static void draw_legend(const struct drawing *d, uint32_t y)
{
    static const struct {
        const char *class, *text;
    } rows[] = {{"worker", "worker"}, {"executor", "executor"}, {"other", "other threads"},
                {"idle", "left idle"}, {"refused", "not allowed"}};
    for (uint32_t i = 0; i < TG_ARRAY_SIZE(rows); i++) {
        uint32_t x = MARGIN + i * 116;
        box(d, rows[i].class, x, y + 8, 14, 14);
        open_text(d, "small", x + 20, y + 20);
        fprintf(d->out, "%s</text>\n", rows[i].text);
    }
}

static void draw_title(const struct drawing *d)
{
    const struct machine *m = d->m;
    box(d, "paper", 0, 0, width(d), height(d));
    open_text(d, "head", MARGIN, 24);
    fprintf(d->out, "%s: %u core%s, %u cpu%s</text>\n", m->model, PLURAL(m->core_count), PLURAL(m->cpu_count));
    open_text(d, "small", MARGIN, 44);
    fprintf(d->out, "%u worker%s, ", PLURAL(d->plan->worker_count));
    if (d->plan->executor_count)
        fprintf(d->out, "%u executor%s", PLURAL(d->plan->executor_count));
    else
        fputs("executors run inline", d->out);
    fprintf(d->out, "; %s: %s</text>\n", d->plan->pinned ? "pinned" : "not pinned", d->plan->reason);
}

void topology_print_svg(FILE *out, const struct machine *m, const struct topology_plan *plan)
{
    struct drawing d = {.out = out, .m = m, .plan = plan};
    uint32_t y = TITLE;
    measure(&d);
    fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" viewBox=\"0 0 %u %u\" "
                 "role=\"img\" aria-label=\"who sits where\">\n%s",
            width(&d), height(&d), width(&d), height(&d), style);
    draw_title(&d);
    for (uint32_t package = 0; package < m->package_count; package++)
        y = draw_package(&d, package, y);
    if (loose_devices(&d))
        draw_devices(&d, -1, MARGIN + GAP, y);
    draw_legend(&d, y + loose_devices(&d) * (DEVICE_H + 4));
    fputs("</svg>\n", out);
}
