/* SPDX-License-Identifier: Apache-2.0 */
/* From listening addresses to network cards. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "machine_rig.h"

static char sys[64];
static struct machine *m;

static void setup(void)
{
    strcpy(sys, "/tmp/tg-nics-XXXXXX");
    cr_assert(mkdtemp(sys));
    m = machine_made(2, 1, 2, 1);
    machine_add(m, MACHINE_GPU, "eth0", "0000:01:00.0", 0); /* whatever it is called, it is no card */
    machine_add(m, MACHINE_NIC, "eth0", "0000:02:00.0", 0);
    machine_add(m, MACHINE_NIC, "eth1", "0000:82:00.0", 1);
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r '%s'", sys);
    cr_assert_eq(system(command), 0);
    free(m);
}

TestSuite(nics, .init = setup, .fini = teardown);

/* The folder of an interface with a link to one that carries it. */
static void carry(const char *upper, const char *lower)
{
    char path[256];
    static const char *const levels[] = {"/class", "/class/net"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(levels); i++) {
        snprintf(path, sizeof(path), "%s%s", sys, levels[i]);
        mkdir(path, 0755);
    }
    snprintf(path, sizeof(path), "%s/class/net/%s", sys, upper);
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/class/net/%s/lower_%s", sys, upper, lower);
    cr_assert_eq(symlink("../nowhere", path), 0);
}

Test(nics, an_interface_of_a_card_is_that_card)
{
    struct machine_nics found = {0};
    machine_nics_of_interface(m, sys, "eth1", &found);
    machine_nics_of_interface(m, sys, "eth1", &found);
    cr_assert_eq(found.count, 1);
    cr_assert_eq(found.device[0], 2);
}

Test(nics, a_vlan_on_a_bond_is_the_cards_of_the_bond)
{
    struct machine_nics found = {0};
    carry("vlan7", "bond0");
    carry("bond0", "eth0");
    carry("bond0", "eth1");
    machine_nics_of_interface(m, sys, "vlan7", &found);
    cr_assert_eq(found.count, 2);
    cr_assert_eq(found.device[0] + found.device[1], 3);
}

Test(nics, interfaces_that_carry_one_another_come_to_an_end)
{
    struct machine_nics found = {0};
    carry("a", "b");
    carry("b", "a");
    machine_nics_of_interface(m, sys, "a", &found);
    cr_assert_eq(found.count, 0);
}

Test(nics, loopback_files_and_what_cannot_be_resolved_name_no_card)
{
    static const char *const addresses[] = {"127.0.0.1:9484", "[::1]:80", "localhost:1", "unix:/run/x.sock", "no.such.invalid:1"};
    m->is_ours = true;
    for (size_t i = 0; i < TG_ARRAY_SIZE(addresses); i++) {
        struct machine_nics found = {0};
        machine_nics_of_address(m, addresses[i], &found);
        cr_assert_eq(found.count, 0, "%s", addresses[i]);
    }
}

Test(nics, all_addresses_of_another_machine_are_all_its_cards)
{
    static const char *const addresses[] = {":9484", "0.0.0.0:9484", "[::]:9484"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(addresses); i++) {
        struct machine_nics found = {0};
        machine_nics_of_address(m, addresses[i], &found);
        cr_assert_eq(found.count, 2, "%s", addresses[i]);
    }
}

Test(nics, more_cards_than_there_is_room_for_are_left_out)
{
    struct machine_nics found = {0};
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof(name), "vf%d", i);
        machine_add(m, MACHINE_NIC, name, "0000:03:00.0", 0);
    }
    machine_nics_of_address(m, ":1", &found);
    cr_assert_eq(found.count, MACHINE_NICS_MAX);
}
