// launch() of context.h on the CPU.
// defines: launch, launch_blocks
#pragma once

namespace msm {

void launch_blocks(msm_context* context, const char* op, dim3 grid, dim3 block, size_t shared_bytes,
                   std::function<void()> body);

template <class... P, class... A>
void launch(msm_context* context, const char* op, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
            A... args) {
  launch_blocks(
      context, op, grid, block, shared_bytes,
      [kernel, values = std::tuple<std::decay_t<P>...>{static_cast<P>(args)...}] { std::apply(kernel, values); });
}

}  // namespace msm
