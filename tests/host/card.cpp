// A second device in a machine that has none: its tensors lie in this machine's memory, its kernels are the
// CPU's, and an operation whose tensors are on two devices is refused as a real card refuses it.
//
// torch's "PrivateUse1". Built by rehearsal.py; for tests of what a card asks of tensors' places, not for speed.

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/Resize.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/library.h>

#include <unordered_map>

namespace {

using at::Tensor;
using c10::Device;
using c10::DispatchKey;
using c10::IValue;
constexpr auto CARD = c10::DeviceType::PrivateUse1;

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t n) override {
    void* p = c10::alloc_cpu(n);
    return {p, p, &c10::free_cpu, Device(CARD, 0)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &c10::free_cpu; }
  void copy_data(void* to, const void* from, size_t n) const override { default_copy_data(to, from, n); }
};
Memory memory;
REGISTER_ALLOCATOR(CARD, &memory);

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return CARD; }
  Device exchangeDevice(Device) const override { return {CARD, 0}; }
  Device getDevice() const override { return {CARD, 0}; }
  void setDevice(Device) const override {}
  void uncheckedSetDevice(Device) const noexcept override {}
  c10::Stream getStream(Device d) const override { return c10::Stream(c10::Stream::DEFAULT, d); }
  c10::Stream exchangeStream(c10::Stream s) const override { return s; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, c10::DeviceIndex) const noexcept override {}
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  void init() const override {}
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  bool isPinnedPtr(const void*) const override { return false; }
  c10::Allocator* getPinnedMemoryAllocator() const override { return c10::GetAllocator(c10::kCPU); }
};

void look_like(const Tensor& out, const Tensor& t) {
  out.unsafeGetTensorImpl()->set_sizes_and_strides(t.sizes(), t.strides(), t.storage_offset());
  if (t.is_conj()) out._set_conj(true);
  if (t.is_neg()) out._set_neg(true);
}

// A new tensor over `storage`, shaped as `t`.
Tensor over(const c10::Storage& storage, DispatchKey key, const Tensor& t) {
  Tensor out = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(storage), c10::DispatchKeySet(key), t.dtype());
  look_like(out, t);
  return out;
}

// A view of the card's tensor `base`, an inference tensor if that is one.
Tensor view_of(const Tensor& base, const Tensor& t) {
  Tensor out = at::detail::make_tensor<c10::TensorImpl>(c10::TensorImpl::VIEW, c10::Storage(base.storage()),
                                                        base.key_set(), t.dtype());
  look_like(out, t);
  return out;
}

// The same memory on another device, kept alive by its first owner.

c10::Storage same_memory(const c10::Storage& s, c10::DeviceType type) {
  auto* owner = new c10::Storage(s);
  c10::DataPtr place(owner->mutable_data(), owner, [](void* o) { delete static_cast<c10::Storage*>(o); },
                     type == CARD ? Device(CARD, 0) : Device(type));
  return c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), s.nbytes(), std::move(place),
                                               c10::GetAllocator(type), true);
}

// One call: the card's tensors among its arguments and what stands for each on the CPU.
struct Call {
  std::vector<std::pair<Tensor, Tensor>> stand_ins;
  std::unordered_map<const c10::StorageImpl*, c10::Storage> on_cpu, on_card;

  Tensor to_cpu(const Tensor& t) {
    if (!t.defined() || t.device().type() != CARD) return t;
    for (auto& [card, cpu] : stand_ins)
      if (card.is_same(t)) return cpu;
    const auto* own = t.storage().unsafeGetStorageImpl();
    if (!on_cpu.count(own)) on_cpu.emplace(own, same_memory(t.storage(), c10::DeviceType::CPU));
    stand_ins.emplace_back(t, over(on_cpu.at(own), DispatchKey::CPU, t));
    return stand_ins.back().second;
  }

  Tensor to_card(const Tensor& t) {
    if (!t.defined() || t.device().type() == CARD) return t;
    for (auto& [card, cpu] : stand_ins)
      if (cpu.is_same(t)) return card;
    const auto* own = t.storage().unsafeGetStorageImpl();
    for (auto& [card, cpu] : stand_ins)
      if (cpu.storage().unsafeGetStorageImpl() == own) return view_of(card, t);
    if (!on_card.count(own)) on_card.emplace(own, same_memory(t.storage(), CARD));
    return over(on_card.at(own), DispatchKey::PrivateUse1, t);
  }

  // What an operation has made larger: `out=` of no size.
  void finish() {
    for (auto& [card, cpu] : stand_ins) {
      if (cpu.sizes() == card.sizes() && cpu.strides() == card.strides()) continue;
      auto* mine = card.unsafeGetTensorImpl();
      if (cpu.storage().data() != card.storage().data())
        card.storage().unsafeGetStorageImpl()->set_data_ptr_noswap([&] {
          auto* owner = new c10::Storage(cpu.storage());
          return c10::DataPtr(owner->mutable_data(), owner, [](void* o) { delete static_cast<c10::Storage*>(o); }, Device(CARD, 0));
        }());
      card.storage().unsafeGetStorageImpl()->set_nbytes(cpu.storage().nbytes());
      mine->set_sizes_and_strides(cpu.sizes(), cpu.strides(), cpu.storage_offset());
    }
  }
};

bool may_mix(const std::string& name) {  // indices may be the CPU's
  return name == "aten::index.Tensor" || name == "aten::index_put_" || name == "aten::_index_put_impl_" ||
      name == "aten::index_put" || name == "aten::index.Tensor_out";
}

template <class F>
IValue each(const IValue& v, const F& f) {
  if (v.isTensor()) return f(v.toTensor());
  if (v.isTensorList()) {
    c10::List<Tensor> out;
    for (const Tensor& t : v.toTensorVector()) out.push_back(f(t));
    return out;
  }
  if (v.isOptionalTensorList()) {
    c10::List<std::optional<Tensor>> out;
    for (const std::optional<Tensor>& t : v.toOptionalTensorVector()) out.push_back(t ? std::optional<Tensor>(f(*t)) : t);
    return out;
  }
  return v;
}

void on_the_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto name = c10::toString(op.operator_name());
  const size_t count = op.schema().arguments().size();
  auto args = torch::jit::last(stack, count);
  bool strange = false;
  for (const IValue& v : args)
    each(v, [&](const Tensor& t) {
      strange |= t.defined() && t.device().type() != CARD && t.dim() > 0;
      return t;
    });
  TORCH_CHECK(!strange || may_mix(name),
              "Expected all tensors to be on the same device, but found at least two devices, ",
              Device(CARD, 0).str(), " and cpu! (in ", name, ")");
  at::AutoDispatchBelowADInplaceOrView below;
  Call call;
  torch::jit::Stack mine;
  for (const IValue& v : args) {
    if (v.isDevice() && v.toDevice().type() == CARD)
      mine.emplace_back(Device(c10::kCPU));
    else
      mine.push_back(each(v, [&](const Tensor& t) { return call.to_cpu(t); }));
  }
  op.callBoxed(&mine);
  call.finish();
  torch::jit::drop(stack, count);
  for (const IValue& v : mine) stack->push_back(each(v, [&](const Tensor& t) { return call.to_card(t); }));
}

Tensor empty(c10::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
             std::optional<Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &memory, c10::DispatchKeySet(DispatchKey::PrivateUse1),
                                   c10::dtype_or_default(dtype), format);
}

Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                     std::optional<at::Layout>, std::optional<Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &memory, c10::DispatchKeySet(DispatchKey::PrivateUse1),
                                           c10::dtype_or_default(dtype));
}

Tensor copy_from(const Tensor& from, const Tensor& to, bool) {
  at::AutoDispatchBelowADInplaceOrView below;
  Call call;
  call.to_cpu(to).copy_(call.to_cpu(from));
  return to;
}

const Tensor& resize(const Tensor& self, c10::IntArrayRef size, std::optional<at::MemoryFormat>) {
  at::AutoDispatchBelowADInplaceOrView below;
  Call call;
  call.to_cpu(self).resize_(size);
  call.finish();
  return self;
}

Tensor& set_storage(Tensor& self, c10::Storage source, int64_t offset, c10::IntArrayRef size, c10::IntArrayRef stride) {
  auto* mine = self.unsafeGetTensorImpl();
  mine->set_storage_keep_dtype(std::move(source));
  if (stride.empty() && !size.empty()) {
    mine->set_storage_offset(offset);
    mine->set_sizes_contiguous(size);
  } else {
    mine->set_sizes_and_strides(size, stride, offset);
  }
  return self;
}

Tensor& set_whole(Tensor& self, c10::Storage source) {
  const int64_t n = static_cast<int64_t>(source.nbytes() / self.dtype().itemsize());
  return set_storage(self, std::move(source), 0, {n}, {});
}

Tensor& set_tensor(Tensor& self, const Tensor& source) {
  return set_storage(self, source.storage(), source.storage_offset(), source.sizes(), source.strides());
}

int64_t attention_by_formula(const Tensor&, const Tensor&, const Tensor&, const std::optional<Tensor>&, double, bool,
                             std::optional<double>, bool) {
  return 0;
}

void record_stream(Tensor&, c10::Stream) {}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&on_the_cpu>());
}

TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, m) {  // can be switched on and off; changes no precision
  m.fallback(torch::CppFunction::makeFallthrough());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("_copy_from", copy_from);
  m.impl("resize_", resize);
  m.impl("set_.source_Storage", set_whole);
  m.impl("set_.source_Storage_storage_offset", set_storage);
  m.impl("set_.source_Tensor", set_tensor);
  m.impl("record_stream", record_stream);
  m.impl("_fused_sdp_choice", attention_by_formula);
  for (const char* name : {"convolution", "convolution_backward"})  // torch's own choose by device
    m.impl(name, torch::CppFunction::makeFromBoxedFunction<&on_the_cpu>());
}

const bool registered = [] {
  at::RegisterPrivateUse1HooksInterface(new Hooks);
  return true;
}();

}  // namespace
