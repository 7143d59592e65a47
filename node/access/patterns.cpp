#include "node/access/patterns.h"

#include <fmt/format.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace warren::access {

namespace {

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
using Code = std::unique_ptr<pcre2_code, FreeCode>;

constexpr std::size_t kJitStackMin = 32 * 1024;
constexpr std::size_t kJitStackMax = 512 * 1024;
constexpr std::uint32_t kHeapLimitKib = 4096;  // of the interpreter, where JIT is not to be had

std::string error_text(int code) {
  PCRE2_UCHAR text[256] = {};
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

Result<Code> compile(std::string_view pattern) {
  if (pattern.size() > kPatternBytesMax)
    return make_error(Errc::invalid_argument,
                      fmt::format("regular expression of {} bytes is longer than {}",
                                  pattern.size(), kPatternBytesMax));
  int code = 0;
  PCRE2_SIZE at = 0;
  Code out(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), 0, &code,
                         &at, nullptr));
  if (!out)
    return make_error(Errc::invalid_argument,
                      fmt::format("regular expression '{}' is invalid: {} at {}",
                                  pattern.substr(0, 256), error_text(code), at));
  return out;
}

}  // namespace

/// A pattern with its program, or with the reason why it has none.
struct Patterns::Compiled {
  std::string text;
  Code code;
  std::string problem;
};

/// What every match of this owner shares.
struct Patterns::Machine {
  pcre2_match_context* context{pcre2_match_context_create(nullptr)};
  pcre2_match_data* match{pcre2_match_data_create(1, nullptr)};
  pcre2_jit_stack* stack{pcre2_jit_stack_create(kJitStackMin, kJitStackMax, nullptr)};

  Machine() {
    if (context == nullptr || match == nullptr) throw std::bad_alloc();
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimitKib);
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Machine() {
    pcre2_jit_stack_free(stack);
    pcre2_match_data_free(match);
    pcre2_match_context_free(context);
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
};

Patterns::Patterns(std::size_t capacity)
    : capacity_(capacity == 0 ? 1 : capacity), machine_(std::make_unique<Machine>()) {}
Patterns::~Patterns() = default;

Result<void> check_pattern(std::string_view pattern) {
  if (auto code = compile(pattern); !code) return code.error();
  return {};
}

Patterns::Compiled* Patterns::find_or_compile(std::string_view pattern) {
  if (const auto at = by_text_.find(pattern); at != by_text_.end()) {
    recent_.splice(recent_.begin(), recent_, at->second);
    return &recent_.front();
  }
  while (recent_.size() >= capacity_) {
    by_text_.erase(recent_.back().text);
    recent_.pop_back();
  }
  Compiled fresh{std::string(pattern), nullptr, {}};
  if (auto code = compile(pattern)) {
    fresh.code = std::move(*code);
    pcre2_jit_compile(fresh.code.get(), PCRE2_JIT_COMPLETE);  // without it the interpreter runs
  } else {
    fresh.problem = code.error().text;
  }
  recent_.push_front(std::move(fresh));
  by_text_.emplace(recent_.front().text, recent_.begin());
  return &recent_.front();
}

Result<bool> Patterns::search(std::string_view pattern, std::string_view subject) {
  const Compiled* compiled = find_or_compile(pattern);
  if (!compiled->code) return make_error(Errc::invalid_argument, compiled->problem);
  const int found =
      pcre2_match(compiled->code.get(), reinterpret_cast<PCRE2_SPTR>(subject.data()),
                  subject.size(), 0, 0, machine_->match, machine_->context);
  if (found >= 0) return true;
  if (found == PCRE2_ERROR_NOMATCH) return false;
  return make_error(Errc::exhausted, fmt::format("regular expression '{}' gave up: {}",
                                                 pattern.substr(0, 256), error_text(found)));
}

bool Patterns::matches(std::string_view pattern, std::string_view subject) {
  const auto found = search(pattern, subject);
  return found && *found;
}

}  // namespace warren::access
