// The list of tables, and that a CPU never gets one that it cannot run.

#include "local_engine/kernels/dispatch.h"

#include <cstdlib>
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "local_engine/kernels/tables.h"
#include "local_engine/quant/formats.h"

namespace nearfar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// The environment as it was, whatever a test does to it.
class DispatchTest : public testing::Test {
 protected:
  DispatchTest() {
    const char* value = std::getenv("NEARFAR_KERNELS");
    if (value != nullptr) before_ = value;
    had_ = value != nullptr;
    unsetenv("NEARFAR_KERNELS");
  }
  ~DispatchTest() override {
    if (had_)
      setenv("NEARFAR_KERNELS", before_.c_str(), 1);
    else
      unsetenv("NEARFAR_KERNELS");
  }

 private:
  bool had_;
  std::string before_;
};

TEST_F(DispatchTest, NamesAreUniqueAndTablesWhole) {
  std::set<std::string> names;
  for (const KernelChoice& choice : AllKernels()) {
    const KernelTable& table = *choice.table;
    EXPECT_TRUE(names.insert(table.name).second) << table.name << " twice";
    for (const QuantFormat& format : AllFormats()) {
      EXPECT_NE(FindFormatKernel(table, format.dtype), nullptr) << table.name << " " << format.name;
    }
    EXPECT_TRUE(table.matmul_scratch_bytes && table.quantize && table.rms_norm && table.silu_mul &&
                table.add && table.rope && table.attention_state_floats &&
                table.attention_scratch_bytes && table.attention_merge && table.attention_finish &&
                table.dot_rounds && table.sum_stream)
        << table.name;
    for (const DType type : {DType::kF16, DType::kQ8_0}) {
      const KvKernel& kernel = FindKvKernel(table, type);
      EXPECT_EQ(kernel.type, type) << table.name;
      EXPECT_TRUE(kernel.store && kernel.attention_part) << table.name;
    }
  }
}

// Of a CPU whose best table is known, as those are that scripts/test.sh emulates.
TEST_F(DispatchTest, ThisCpuGetsTheTableThatItShould) {
  const char* expected = std::getenv("NEARFAR_EXPECTED_KERNELS");
  if (expected == nullptr) GTEST_SKIP() << "NEARFAR_EXPECTED_KERNELS is not set";
  const auto table = SelectKernels("", ThisCpu());
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_STREQ((*table)->name, expected);
}

TEST_F(DispatchTest, UnknownFormatHasNoKernel) {
  EXPECT_EQ(FindFormatKernel(kScalarKernels, static_cast<DType>(29)), nullptr);
}

TEST_F(DispatchTest, ABareCpuGetsTheScalarTable) {
  const auto table = SelectKernels("", CpuFeatures{});
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(*table, &kScalarKernels);
}

TEST_F(DispatchTest, EachFeatureIsNeeded) {
#if defined(__x86_64__)
  CpuFeatures cpu;
  cpu.avx = cpu.avx2 = cpu.fma = cpu.f16c = true;
  EXPECT_EQ(*SelectKernels("", cpu), &kAvx2Kernels);
  for (bool CpuFeatures::*feature : {&CpuFeatures::avx2, &CpuFeatures::fma, &CpuFeatures::f16c}) {
    CpuFeatures less = cpu;
    less.*feature = false;
    EXPECT_EQ(*SelectKernels("", less), &kScalarKernels);
    EXPECT_FALSE(SelectKernels("avx2", less).ok());
  }
  cpu.avx_vnni = true;
  EXPECT_EQ(*SelectKernels("", cpu), &kAvxVnniKernels);
  cpu.avx512f = cpu.avx512bw = cpu.avx512dq = cpu.avx512vl = cpu.avx512_vnni = true;
  EXPECT_EQ(*SelectKernels("", cpu), &kAvx512VnniKernels);
  for (bool CpuFeatures::*feature :
       {&CpuFeatures::avx512f, &CpuFeatures::avx512bw, &CpuFeatures::avx512dq,
        &CpuFeatures::avx512vl, &CpuFeatures::avx512_vnni}) {
    CpuFeatures less = cpu;
    less.*feature = false;
    EXPECT_EQ(*SelectKernels("", less), &kAvxVnniKernels);
    EXPECT_FALSE(SelectKernels("avx512_vnni", less).ok());
  }
#elif defined(__aarch64__)
  CpuFeatures cpu;
  cpu.neon = true;
  EXPECT_EQ(*SelectKernels("", cpu), &kNeonKernels);
  EXPECT_FALSE(SelectKernels("neon_dotprod", cpu).ok());
  cpu.dotprod = true;
  EXPECT_EQ(*SelectKernels("", cpu), &kNeonDotprodKernels);
  EXPECT_FALSE(SelectKernels("neon_i8mm", cpu).ok());
  cpu.i8mm = true;
  EXPECT_EQ(*SelectKernels("", cpu), &kNeonI8mmKernels);
  cpu.sve = cpu.sve256 = cpu.sve_i8mm = true;
  EXPECT_EQ(*SelectKernels("", cpu), &kSve256Kernels);
  for (bool CpuFeatures::*feature :
       {&CpuFeatures::sve, &CpuFeatures::sve256, &CpuFeatures::sve_i8mm}) {
    CpuFeatures less = cpu;
    less.*feature = false;
    EXPECT_EQ(*SelectKernels("", less), &kNeonI8mmKernels);
    EXPECT_FALSE(SelectKernels("sve256", less).ok());
  }
#else
  GTEST_SKIP() << "only the portable tables are built for this architecture";
#endif
}

TEST_F(DispatchTest, TheReferenceIsForThoseWhoAsk) {
  EXPECT_EQ(*SelectKernels("reference"), &kReferenceKernels);
  EXPECT_NE(*SelectKernels(""), &kReferenceKernels);
}

TEST_F(DispatchTest, EveryNameThisCpuSupportsCanBeChosen) {
  for (const KernelChoice& choice : AllKernels()) {
    const auto table = SelectKernels(choice.table->name);
    EXPECT_EQ(table.ok(), choice.supported(ThisCpu())) << choice.table->name;
    if (!table.ok()) continue;
    EXPECT_EQ(*table, choice.table);
  }
}

TEST_F(DispatchTest, AnUnknownNameListsTheKnownOnes) {
  const absl::Status status = SelectKernels("mmx").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("\"mmx\""), HasSubstr("scalar"), HasSubstr("reference")));
}

TEST_F(DispatchTest, AnUnsupportedNameSaysWhatIsMissingAndWhatWouldWork) {
  const char* best = AllKernels().front().table->name;
  const absl::Status status = SelectKernels(best, CpuFeatures{}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(AllKernels().front().needs),
                                                   HasSubstr("use one of scalar, reference")));
}

TEST_F(DispatchTest, TheEnvironmentChoosesAndTheCallerOutranksIt) {
  setenv("NEARFAR_KERNELS", "scalar", 1);
  EXPECT_EQ(*SelectKernels(""), &kScalarKernels);
  EXPECT_EQ(*SelectKernels("reference"), &kReferenceKernels);
  setenv("NEARFAR_KERNELS", "", 1);
  EXPECT_NE(*SelectKernels(""), &kReferenceKernels);
  setenv("NEARFAR_KERNELS", "sse9", 1);
  const absl::Status status = SelectKernels("").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("NEARFAR_KERNELS"));
}

TEST_F(DispatchTest, FeaturesAreDescribedInWords) {
  CpuFeatures cpu;
  EXPECT_EQ(Describe(cpu), "");
  cpu.avx2 = cpu.dotprod = true;
  EXPECT_EQ(Describe(cpu), "avx2 dotprod");
}

TEST_F(DispatchTest, FeaturesOfAnotherArchitectureAreNeverSeen) {
#if defined(__x86_64__)
  EXPECT_THAT(Describe(ThisCpu()), Not(HasSubstr("neon")));
#elif defined(__aarch64__)
  EXPECT_THAT(Describe(ThisCpu()), AllOf(HasSubstr("neon"), Not(HasSubstr("avx"))));
#endif
}

}  // namespace
}  // namespace nearfar
