// defines: cublaslt_multiply
//
// cuBLASLt thinks in columns: a matrix of rows with stride s is the transposed matrix of columns with leading dimension
// s. So it is asked for out^T [N, M] = b'^T a'^T: our b is its A, our a its B, and a bias of out's columns is one of
// its rows.
#include "cublaslt.h"

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "cublaslt_device.h"
#include "cublaslt_library.h"
#include "cublaslt_plans.h"

namespace msm {
namespace {

constexpr int CANDIDATES = 12;                    // algorithms that are timed for a shape
constexpr int ROUNDS = 3;                         // timings of each, after one that warms up
constexpr float MARGIN = 0.98f;                   // the library's order holds among those that differ by less
constexpr uint64_t WORKSPACE_MOST = 32ull << 20;  // NVIDIA's advice for Hopper
constexpr uint32_t ALIGNMENT = 16;
static_assert(WORKSPACE_MOST <= WORKSPACE_BYTES, "lies in the context's");

// The descriptors of one shape and its algorithm.
struct Plan {
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, out = nullptr;  // our a and b
  cublasLtMatmulAlgo_t algo{};
  bool is_possible = false;  // false: cuBLASLt has no algorithm for the shape

  Plan() = default;
  Plan(const Plan&) = delete;
  ~Plan() {
    const CublasLt& lt = cublaslt_library().api;
    if (desc) lt.cublasLtMatmulDescDestroy(desc);
    for (const cublasLtMatrixLayout_t layout : {a, b, out})
      if (layout) lt.cublasLtMatrixLayoutDestroy(layout);
  }
};

int type_of(int dtype) { return dtype == MSM_F32 ? CUDA_R_32F : CUDA_R_16BF; }

// Calls of the library one after the other: after the first that fails nothing is called any more.
struct Calls {
  cublasStatus_t status = 0;

  template <class... P, class... A>
  void call(cublasStatus_t (*function)(P...), A... args) {
    if (status == 0) status = function(args...);
  }
};

// Sets attributes of a product's descriptor.
struct Description {
  const CublasLt& lt;
  Calls& calls;
  cublasLtMatmulDesc_t desc;

  template <class T>
  void set(int attribute, T value) {
    calls.call(lt.cublasLtMatmulDescSetAttribute, desc, attribute, &value, sizeof value);
  }
};

// Rows of `cols` elements as columns.
void create_layout(const CublasLt& lt, Calls& calls, cublasLtMatrixLayout_t* layout, int dtype, int64_t rows,
                   int64_t cols, int64_t stride, int64_t batch, int64_t batch_stride) {
  const int32_t count = static_cast<int32_t>(batch);
  calls.call(lt.cublasLtMatrixLayoutCreate, layout, type_of(dtype), static_cast<uint64_t>(cols),
             static_cast<uint64_t>(rows), stride);
  if (batch == 1) return;
  const auto set = lt.cublasLtMatrixLayoutSetAttribute;
  calls.call(set, *layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count);
  calls.call(set, *layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &batch_stride, sizeof batch_stride);
}

cublasStatus_t describe(const CublasLt& lt, const Product& p, Plan& plan) {
  Calls calls;
  calls.call(lt.cublasLtMatmulDescCreate, &plan.desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  Description description{lt, calls, plan.desc};
  description.set<int32_t>(CUBLASLT_MATMUL_DESC_TRANSA, p.trans_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  description.set<int32_t>(CUBLASLT_MATMUL_DESC_TRANSB, p.trans_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (p.bias) {
    description.set<uint32_t>(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    description.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);  // its alignment chooses algorithms
  }
  const int64_t a_rows = p.trans_a ? p.K : p.M, a_cols = p.trans_a ? p.M : p.K;
  const int64_t b_rows = p.trans_b ? p.N : p.K, b_cols = p.trans_b ? p.K : p.N;
  create_layout(lt, calls, &plan.a, p.dtype, a_rows, a_cols, p.a_stride, p.batch, p.a_batch);
  create_layout(lt, calls, &plan.b, p.dtype, b_rows, b_cols, p.b_stride, p.batch, p.b_batch);
  create_layout(lt, calls, &plan.out, p.out_dtype, p.M, p.N, p.out_stride, p.batch, p.out_batch);
  return calls.status;
}

// Whether K is summed in one piece, in order: partial sums that meet in memory may be added in any order.
bool sums_in_order(const CublasLt& lt, const cublasLtMatmulAlgo_t& algo) {
  int32_t splits = 0;
  uint32_t scheme = 0;
  size_t written = 0;
  const auto get = lt.cublasLtMatmulAlgoConfigGetAttribute;
  Calls calls;
  calls.call(get, &algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &splits, sizeof splits, &written);
  calls.call(get, &algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &scheme, sizeof scheme, &written);
  return calls.status == 0 && splits <= 1 && scheme == CUBLASLT_REDUCTION_SCHEME_NONE;
}

// The library's proposals, the best by its own estimate first.
std::vector<cublasLtMatmulAlgo_t> candidates(const CublasltLibrary& library, const Plan& plan) {
  const CublasLt& lt = library.api;
  cublasLtMatmulPreference_t preference = nullptr;
  if (lt.cublasLtMatmulPreferenceCreate(&preference) != 0) return {};
  const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE;
  const auto set = lt.cublasLtMatmulPreferenceSetAttribute;
  Calls calls;
  calls.call(set, preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE_MOST, sizeof WORKSPACE_MOST);
  calls.call(set, preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes);
  for (int of = CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES; of <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES; of++)
    calls.call(set, preference, of, &ALIGNMENT, sizeof ALIGNMENT);
  cublasLtMatmulHeuristicResult_t results[CANDIDATES] = {};
  int count = 0;
  calls.call(lt.cublasLtMatmulAlgoGetHeuristic, library.handle, plan.desc, plan.b, plan.a, plan.out, plan.out,
             preference, CANDIDATES, results, &count);
  lt.cublasLtMatmulPreferenceDestroy(preference);
  if (calls.status != 0) return {};
  std::vector<cublasLtMatmulAlgo_t> found;
  for (int i = 0; i < count; i++)
    if (results[i].state == 0 && sums_in_order(lt, results[i].algo)) found.push_back(results[i].algo);
  return found;
}

cublasStatus_t run(msm_context* context, const Plan& plan, const Product& p, const cublasLtMatmulAlgo_t& algo) {
  const CublasltLibrary& library = cublaslt_library();
  Calls calls;
  if (p.bias) Description{library.api, calls, plan.desc}.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
  calls.call(library.api.cublasLtMatmul, library.handle, plan.desc, &p.alpha, p.b, plan.b, p.a, plan.a, &p.beta, p.out,
             plan.out, p.out, plan.out, &algo, workspace(context), WORKSPACE_MOST, device(context).stream);
  return calls.status;
}

std::string refusal(cublasStatus_t status) { return "cublasLtMatmul returned " + std::to_string(status); }

#ifdef MSM_EMULATED
// The emulated stream is made of launches; a plan lives as long as the process.
void enqueue(msm_context* context, const char* op, const Plan* plan, const Product& product) {
  const auto kernel = +[](msm_context* context, const Plan* plan, Product p) {
    if (const cublasStatus_t status = run(context, *plan, p, plan->algo)) emulator::stop(refusal(status));
  };
  launch(context, op, kernel, 1, 1, 0, context, plan, product);
}
#else
void enqueue(msm_context* context, const char* op, const Plan* plan, const Product& product) {
  if (const cublasStatus_t status = run(context, *plan, product, plan->algo))
    fail(context, op, refusal(status).c_str());
}
#endif

// Times the candidates on the operands themselves. They overwrite `out`, as the product then does; a product that adds
// to it gets memory of its own for that (the library's first is taken where there is none). Returns the chosen one's
// index, -1 where none runs.
int fastest(msm_context* context, const Plan& plan, Product p, const std::vector<cublasLtMatmulAlgo_t>& found,
            float* microseconds) {
  const int64_t out_elements = (p.batch - 1) * p.out_batch + (p.M - 1) * p.out_stride + p.N;
  Scratch scratch(p.beta == 0 ? 0 : out_elements * (p.out_dtype == MSM_F32 ? 4 : 2));
  if (p.beta != 0) p.out = scratch.memory();
  if (!p.out) return found.empty() ? -1 : 0;
  Stopwatch stopwatch(device(context).stream);
  std::vector<float> best(found.size(), INFINITY);
  for (int round = 0; round <= ROUNDS; round++)
    for (size_t i = 0; i < found.size(); i++) {
      if (round > 0 && best[i] == INFINITY) continue;  // it did not run
      stopwatch.start();
      const cublasStatus_t status = run(context, plan, p, found[i]);
      const float time = stopwatch.stop();
      if (status == 0) best[i] = round <= 1 ? time : fminf(best[i], time);
    }
  int chosen = -1;
  for (size_t i = 0; i < found.size(); i++)
    if (best[i] < INFINITY && (chosen < 0 || best[i] < MARGIN * best[static_cast<size_t>(chosen)]))
      chosen = static_cast<int>(i);
  if (chosen >= 0) *microseconds = best[static_cast<size_t>(chosen)];
  return chosen;
}

// The plans of this process. Handles, algorithms and timings belong to its device.
struct Plans {
  const CublasltLibrary& library = cublaslt_library();
  std::mutex mutex;
  std::map<ProductKey, std::unique_ptr<Plan>> known;  // by the exact shape
  std::unique_ptr<PlanFile> file;
};

// Whether the algorithm computes the plan's product.
bool suits(const CublasltLibrary& library, const Plan& plan, const ChosenAlgorithm* chosen) {
  cublasLtMatmulHeuristicResult_t result = {};
  return chosen &&
         library.api.cublasLtMatmulAlgoCheck(library.handle, plan.desc, plan.b, plan.a, plan.out, plan.out,
                                             &chosen->algo, &result) == 0 &&
         result.workspaceSize <= WORKSPACE_MOST;
}

// A plan with its algorithm, or null after fail().
Plan* plan_for(Plans& plans, msm_context* context, const char* op, const Product& p) {
  const CublasltLibrary& library = plans.library;
  const ProductKey shared = product_key(p);
  ProductKey exact = shared;
  exact[KEY_M] = p.M;
  std::unique_ptr<Plan>& known = plans.known[exact];
  if (known) return known.get();
  auto plan = std::make_unique<Plan>();
  if (const cublasStatus_t status = describe(library.api, p, *plan)) {
    fail(context, op, ("cuBLASLt refuses to describe the product: status " + std::to_string(status)).c_str());
    return nullptr;
  }
  if (!plans.file) plans.file = std::make_unique<PlanFile>(device_key(context), library.version);
  const ChosenAlgorithm *const own = plans.file->find(exact), *const common = plans.file->find(shared);
  if (const ChosenAlgorithm* const chosen = suits(library, *plan, own)      ? own
                                            : suits(library, *plan, common) ? common
                                                                            : nullptr) {
    plan->algo = chosen->algo;
    plan->is_possible = true;
  } else if (is_recording(context)) {
    fail(context, op, "a product of a new shape cannot be timed inside a recording: run the ops once before it");
    return nullptr;
  } else {
    const std::vector<cublasLtMatmulAlgo_t> found = candidates(library, *plan);
    ChosenAlgorithm fresh = {};
    const int i = fastest(context, *plan, p, found, &fresh.microseconds);
    plan->is_possible = i >= 0;
    if (i >= 0) {
      fresh.algo = plan->algo = found[static_cast<size_t>(i)];
      plans.file->add(common ? exact : shared, fresh);  // what others share stays as it is
    }
  }
  known = std::move(plan);
  return known.get();
}

bool fits(const Product& p) {
  const auto is_aligned = [](int dtype, const void* address, int64_t stride, int64_t batch_stride) {
    return dtype == MSM_F32 ? aligned16<float>(address, stride) && batch_stride % 4 == 0
                            : aligned16<bf16>(address, stride) && batch_stride % 8 == 0;
  };
  return is_aligned(p.dtype, p.a, p.a_stride, p.a_batch) && is_aligned(p.dtype, p.b, p.b_stride, p.b_batch) &&
         is_aligned(p.out_dtype, p.out, p.out_stride, p.out_batch) &&
         (!p.bias || (p.out_dtype == p.dtype && is_aligned(p.dtype, p.bias, 0, 0)));
}

}  // namespace

bool cublaslt_multiply(msm_context* context, const char* op, const Product& p) {
  static Plans& plans = *new Plans;  // never freed: the library may be gone when the process ends
  if (!plans.library.handle || !fits(p)) return false;
  if (failed(context)) return true;
  std::lock_guard<std::mutex> lock(plans.mutex);
  Plan* const plan = plan_for(plans, context, op, p);
  if (!plan) return true;
  if (!plan->is_possible) return false;
  enqueue(context, op, plan, p);
  return true;
}

}  // namespace msm
