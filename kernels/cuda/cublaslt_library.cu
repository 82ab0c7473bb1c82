// defines: cublaslt_library, cublaslt_version, cublaslt_path, cublaslt_problem
#include "cublaslt_library.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <algorithm>
#include <vector>

#include "cublaslt.h"

namespace msm {
namespace {

const char* const NAMES[] = {"libcublasLt.so.13", "libcublasLt.so.12"};

std::string variable(const char* name) {
  const char* const value = getenv(name);
  return value ? value : "";
}

bool is_folder(const std::string& path) {
  struct stat found;
  return stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

template <class F>
bool take(void* library, F& function, const char* name) {
  function = reinterpret_cast<F>(dlsym(library, name));
  return function != nullptr;
}

// The name of the first function that is missing, or null.
const char* take_all(void* library, CublasLt& api) {
#define MSM_TAKE(name) \
  if (!take(library, api.name, #name)) return #name
  MSM_TAKE(cublasLtGetVersion);
  MSM_TAKE(cublasLtCreate);
  MSM_TAKE(cublasLtMatmulDescCreate);
  MSM_TAKE(cublasLtMatmulDescDestroy);
  MSM_TAKE(cublasLtMatmulDescSetAttribute);
  MSM_TAKE(cublasLtMatrixLayoutCreate);
  MSM_TAKE(cublasLtMatrixLayoutDestroy);
  MSM_TAKE(cublasLtMatrixLayoutSetAttribute);
  MSM_TAKE(cublasLtMatmulPreferenceCreate);
  MSM_TAKE(cublasLtMatmulPreferenceDestroy);
  MSM_TAKE(cublasLtMatmulPreferenceSetAttribute);
  MSM_TAKE(cublasLtMatmulAlgoGetHeuristic);
  MSM_TAKE(cublasLtMatmulAlgoCheck);
  MSM_TAKE(cublasLtMatmulAlgoConfigGetAttribute);
  MSM_TAKE(cublasLtMatmul);
#undef MSM_TAKE
  return nullptr;
}

// Loads `name` (a path, or a name that the loader looks for) into `found`. Returns what went wrong, or "".
std::string load(const std::string& name, CublasltLibrary& found) {
  void* const library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return dlerror();
  std::string problem;
  if (const char* const missing = take_all(library, found.api)) {
    problem = name + " has no " + missing;
  } else if (const cublasStatus_t status = found.api.cublasLtCreate(&found.handle)) {
    found.handle = nullptr;
    problem = name + " does not run here: cublasLtCreate returned " + std::to_string(status) +
              (status == 1 ? " (the driver is too old for it)" : "");
  }
  if (!problem.empty()) {
    dlclose(library);
    return problem;
  }
  Dl_info info;
  found.path =
      dladdr(reinterpret_cast<void*>(found.api.cublasLtCreate), &info) && info.dli_fname ? info.dli_fname : name;
  const size_t version = found.api.cublasLtGetVersion();
  found.version =
      std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." + std::to_string(version % 100);
  return "";
}

// Loads one of NAMES from the folder. Returns what went wrong with those that are there, or "" where none is.
std::string load_from(const std::string& folder, CublasltLibrary& found) {
  std::string problem;
  for (const char* const name : NAMES) {
    const std::string path = folder + "/" + name;
    struct stat file;
    if (stat(path.c_str(), &file) != 0) continue;
    problem = load(path, found);
    if (problem.empty()) break;
  }
  return problem;
}

// Files that match, in the order of their names.
std::vector<std::string> matching(const std::string& pattern) {
  std::vector<std::string> paths;
  glob_t found;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  return paths;
}

// The folder above the one that python3 of PATH lies in: its packages are in lib/python3.x below.
std::string python_prefix() {
  const std::string path = variable("PATH");
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find(':', begin), path.size());
    const std::string folder = path.substr(begin, end - begin);
    struct stat found;
    if (!folder.empty() && stat((folder + "/python3").c_str(), &found) == 0) return folder + "/..";
    begin = end + 1;
  }
  return "";
}

// Folders that may hold the library, the likeliest first. Those that do not exist are left out.
std::vector<std::string> folders() {
  std::vector<std::string> patterns;
  for (const std::string& toolkit : {variable("CUDA_HOME"), variable("CUDA_PATH"), std::string("/usr/local/cuda")})
    if (!toolkit.empty()) patterns.insert(patterns.end(), {toolkit + "/lib64", toolkit + "/lib"});
  for (const std::string& prefix : {variable("VIRTUAL_ENV"), variable("CONDA_PREFIX"), python_prefix(),
                                    variable("HOME") + "/.local", std::string("/usr/local"), std::string("/usr")}) {
    if (prefix.empty()) continue;
    for (const char* const wheel : {"/nvidia/cu13/lib", "/nvidia/cublas/lib"})
      for (const char* const packages : {"/lib/python3*/site-packages", "/lib/python3*/dist-packages"})
        patterns.push_back(prefix + packages + wheel);
  }
  std::vector<std::string> existing;
  for (const std::string& pattern : patterns)
    for (const std::string& path : matching(pattern))
      if (is_folder(path)) existing.push_back(path);
  return existing;
}

void search(CublasltLibrary& found) {
  std::string tried;
  const auto note = [&](const std::string& problem) {
    if (!problem.empty()) tried += "\n  " + problem;
  };
  for (const char* const name : NAMES) {
    note(load(name, found));
    if (found.handle) return;
  }
  for (const std::string& folder : folders()) {
    const std::string problem = load_from(folder, found);
    if (found.handle) return;
    note(problem.empty() ? folder + " has none" : problem);
  }
  found.problem =
      "no cuBLASLt (libcublasLt.so.13 or .12), so large products use slower built-in kernels. Install the CUDA "
      "toolkit, or `pip install "
      "nvidia-cublas`, or set MSM_CUBLASLT to the library. Tried:" +
      tried;
}

#ifdef MSM_EMULATED
constexpr char DEFAULT[] = "0";  // its memory is the host's: a stand-in can use it, NVIDIA's library cannot
#else
constexpr char DEFAULT[] = "auto";
#endif

CublasltLibrary look_for() {
  CublasltLibrary found;
  const std::string set = variable("MSM_CUBLASLT"), wanted = set.empty() ? DEFAULT : set;
  if (wanted == "0") return found;
  if (wanted == "auto") {
    search(found);
    return found;
  }
  std::string problem = is_folder(wanted) ? load_from(wanted, found) : load(wanted, found);
  if (problem.empty() && !found.handle) problem = "that folder has no " + std::string(NAMES[0]) + " or " + NAMES[1];
  if (!found.handle) found.problem = "MSM_CUBLASLT is " + wanted + ", but " + problem;
  return found;
}

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

}  // namespace

const CublasltLibrary& cublaslt_library() {
  static const CublasltLibrary library = look_for();
  return library;
}

const char* cublaslt_version() { return or_null(cublaslt_library().version); }
const char* cublaslt_path() { return or_null(cublaslt_library().path); }
const char* cublaslt_problem() { return or_null(cublaslt_library().problem); }

}  // namespace msm
