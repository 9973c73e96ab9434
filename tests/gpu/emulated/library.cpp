/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code that is loaded at run time: CUDA C++ text (from nvrtc.c) is compiled for the host by the compiler that built
 * this program, and loaded as a shared object.
 */
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "emulator.h"

typedef std::function<void()> *bind_fn(void **arguments);

struct emulated_library {
    void *object;
};

struct emulated_kernel {
    bind_fn *bind;
};

namespace {

/* EMULATED_COMPILE is the compiler with all options but the files' names, quoted for the shell. */
bool compile(const std::string &source, const std::string &object)
{
    std::string command = EMULATED_COMPILE " -shared -o " + object + " " + source;
    return system(command.c_str()) == 0;
}

bool write_source(const std::string &path, const char *code)
{
    FILE *to = fopen(path.c_str(), "w");
    if (!to)
        return false;
    fprintf(to, "#include \"emulator.h\"\n%s\n", code);
    fprintf(to, "extern \"C\" std::function<void()> *emulated_bind(void **arguments)\n"
                "{ return emulator_bind(tg_user_kernel, arguments); }\n");
    return fclose(to) == 0;
}

/* Loaded at once, so the files need not stay. */
void *build(const char *code)
{
    char folder[] = "/tmp/emulated-XXXXXX";
    if (!mkdtemp(folder))
        return nullptr;
    std::string source = std::string(folder) + "/kernel.cpp", object = std::string(folder) + "/kernel.so";
    void *loaded = nullptr;
    if (write_source(source, code) && compile(source, object))
        loaded = dlopen(object.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!loaded && dlerror())
        fprintf(stderr, "emulator: %s cannot be loaded\n", object.c_str());
    unlink(source.c_str());
    unlink(object.c_str());
    rmdir(folder);
    return loaded;
}

/* Once for each text: compiling takes its time, and a test loads the same again and again. */
void *find(const char *code)
{
    static std::map<std::string, void *> built;
    auto found = built.find(code);
    if (found != built.end())
        return found->second;
    void *object = build(code);
    if (object)
        built[code] = object;
    return object;
}

} // namespace

extern "C" {

cudaError_t cudaLibraryLoadData(cudaLibrary_t *library, const void *code, void *, void **, unsigned, void *, void **,
                                unsigned)
{
    cudaError_t rc = emulator_called();
    if (rc != cudaSuccess)
        return rc;
    void *object = find((const char *)code);
    if (!object)
        return cudaErrorInvalidPtx;
    *library = new emulated_library{object};
    emulator_keep(1);
    return cudaSuccess;
}

/* There is but one, and it is the library's until that is unloaded. */
cudaError_t cudaLibraryGetKernel(cudaKernel_t *kernel, cudaLibrary_t library, const char *name)
{
    static std::map<void *, emulated_kernel> kernels;
    cudaError_t rc = emulator_called();
    if (rc != cudaSuccess)
        return rc;
    if (!dlsym(library->object, name))
        return cudaErrorSymbolNotFound;
    emulated_kernel &k = kernels[library->object];
    k.bind = (bind_fn *)dlsym(library->object, "emulated_bind");
    *kernel = &k;
    return cudaSuccess;
}

cudaError_t cudaLibraryUnload(cudaLibrary_t library)
{
    delete library;
    emulator_keep(-1);
    return cudaSuccess;
}

cudaError_t cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **arguments, size_t, cudaStream_t stream)
{
    std::function<void()> *bound = ((const emulated_kernel *)kernel)->bind(arguments);
    int rc = emulator_launch(stream, grid, block.x, *bound);
    delete bound;
    return (cudaError_t)rc;
}

} /* extern "C" */
