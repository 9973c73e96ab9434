/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linked into tests that create kernel runners: these compile in a child process, which is the same program again,
 * called as `taskgate compile-kernel --child`. A test's main() knows nothing of that.
 */
#include <string.h>
#include <unistd.h>
#include "gpu/compile_kernel.h"

__attribute__((constructor)) static void compile_if_asked(int argc, char **argv, char **envp)
{
    if (argc > 1 && strcmp(argv[1], "compile-kernel") == 0)
        _exit(tg_compile_kernel_main(argc - 1, argv + 1));
}
