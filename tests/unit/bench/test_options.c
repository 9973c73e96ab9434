/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: what is taken, what is refused. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <getopt.h>
#include <string.h>

#include "load/options.h"

#define TARGET "127.0.0.1:9484"

static struct options o;

static enum options_result parse(const char *flags)
{
    static char line[256];
    char *argv[16] = {line}, *save = NULL;
    int argc = 1;

    snprintf(line, sizeof(line), "bench-load %s", flags);
    strtok_r(line, " ", &save);
    while (argc < 15 && (argv[argc] = strtok_r(NULL, " ", &save)) != NULL)
        argc++;
    optind = 0; /* makes getopt forget the call before */
    return options_parse(argc, argv, &o);
}

Test(options, defaults_are_a_closed_loop_of_64_connections)
{
    cr_assert_eq(parse("http://" TARGET), OPTIONS_RUN);
    cr_assert_eq(o.connections, 64);
    cr_assert_eq(o.active, 64);
    cr_assert_eq(o.pipeline, 1);
    cr_assert_not(o.spin);
    cr_assert_str_eq(o.host, TARGET);
    cr_assert_eq(o.row_first, 1001);
}

Test(options, an_open_loop_spins_unless_told_to_sleep)
{
    cr_assert_eq(parse("--rate 5000 " TARGET), OPTIONS_RUN);
    cr_assert(o.spin);
    cr_assert_eq(parse("--rate 5000 --wait sleep " TARGET), OPTIONS_RUN);
    cr_assert_not(o.spin);
}

Test(options, the_path_of_a_url_is_used_unless_given)
{
    cr_assert_eq(parse("http://" TARGET "/a/b"), OPTIONS_RUN);
    cr_assert_str_eq(o.path, "/a/b");
    cr_assert_eq(parse("--path /c http://" TARGET "/a/b"), OPTIONS_RUN);
    cr_assert_str_eq(o.path, "/c");
}

Test(options, https_and_a_flag_both_ask_for_tls)
{
    cr_assert_eq(parse("http://" TARGET), OPTIONS_RUN);
    cr_assert_not(o.tls);
    cr_assert_eq(parse("https://" TARGET "/a"), OPTIONS_RUN);
    cr_assert(o.tls);
    cr_assert_str_eq(o.path, "/a");
    cr_assert_eq(parse("--tls --resume --tls-version 1.2 " TARGET), OPTIONS_RUN);
    cr_assert(o.tls && o.resume && o.tls_12);
}

Test(options, lists_are_read)
{
    cr_assert_eq(parse("--threads 2 --cpu 1,3 --server-pid 10,20,30 --active 0 " TARGET), OPTIONS_RUN);
    cr_assert_eq(o.cpus[1], 3);
    cr_assert_eq(o.pid_count, 3);
    cr_assert_eq(o.active, 0);
}

Test(options, ipv6_loopback_is_our_own_machine)
{
    cr_assert_eq(parse("http://[::1]:80"), OPTIONS_RUN);
    cr_assert_eq(o.addr.ss_family, AF_INET6);
}

static void expect_refused(const char *flags)
{
    cr_assert_eq(parse(flags), OPTIONS_BAD, "taken: %s", flags);
}

Test(options, another_machine_is_refused_unless_allowed)
{
    expect_refused("http://192.0.2.1:80");
    cr_assert_eq(parse("--allow-remote http://192.0.2.1:80"), OPTIONS_RUN);
}

Test(options, bad_values_are_refused_with_the_flag_named)
{
    static const char *const bad[] = {
        "--connections 0",      "--connections 1.5", "--connections x",   "--connections 64k", "--duration nan",
        "--duration -1",        "--active 65",       "--threads 65",      "--cpu 1,",          "--cpu a",
        "--threads 2 --cpu 1",  "--rows 5-2",        "--rows 0-2",        "--rows 7",          "--arrival often",
        "--wait never",         "--io kqueue",       "--header nocolon",  "--path nope",       "--server-pid 0",
        "--body f --body-text t", "--resume",      "--tls-version 1.1",
    };
    char line[200];

    cr_redirect_stderr();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(line, sizeof(line), "%s %s", bad[i], TARGET);
        expect_refused(line);
    }
}

Test(options, a_target_must_be_given_once_with_a_port)
{
    expect_refused("");
    expect_refused(TARGET " " TARGET);
    expect_refused("127.0.0.1");
    expect_refused("ftp://" TARGET);
    expect_refused("--no-such-flag " TARGET);
}
