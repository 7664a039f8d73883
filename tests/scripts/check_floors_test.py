"""Tests of scripts/check_floors.py on made-up trees: each rule is broken once, and the house is kept."""

import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import check_floors  # noqa: E402


def include(*paths):
    return "".join(f'#include "{path}"\n' if not path.startswith("<") else f"#include {path}\n"
                   for path in paths)


GOOD = {
    "local_engine/base/bytes.h": "",
    "local_engine/quant/dtype.h": include("local_engine/base/bytes.h"),
    "local_engine/gguf/gguf_file.h": include("local_engine/quant/dtype.h"),
    "local_engine/kernels/kernel_table.h": include("local_engine/quant/dtype.h", "<stdint.h>"),
    "local_engine/kernels/common/gemm-inl.h": include("local_engine/kernels/kernel_table.h"),
    "local_engine/engine.h": include("local_engine/session.h", "<vector>"),
    "local_engine/session.h": include("local_engine/token.h"),
    "local_engine/token.h": "",
    "policies/signals.h": "",
    "policies/decision.h": include("policies/signals.h"),
    "policies/policy.h": include("policies/decision.h"),
    "policies/policy_file.cc": include("nearfar/v1/policy.pb.h", "policies/policy.h"),
    "router/backend.h": include("policies/signals.h"),
    "router/router.h": include("router/backend.h", "policies/policy.h"),
    "router/local_backend.cc": include("router/local_backend.h"),
    "router/local_backend.h": include("local_engine/engine.h", "router/backend.h"),
    "router/cli/doctor.cc": include("local_engine/kernels/dispatch.h", "router/router.h"),
    "local_engine/kernels/dispatch.h": include("local_engine/kernels/kernel_table.h", "<string>"),
}


class Floors(unittest.TestCase):
    def problems(self, changed):
        return check_floors.check({**GOOD, **changed})

    def assert_one(self, changed, *words):
        problems = self.problems(changed)
        self.assertEqual(len(problems), 1, problems)
        for word in words:
            self.assertIn(word, problems[0])

    def test_the_good_tree_is_good(self):
        self.assertEqual(check_floors.check(GOOD), [])

    def test_an_arrow_up_inside_the_engine(self):
        self.assert_one({"local_engine/base/pool.h": include("local_engine/engine.h")},
                        "local_engine/base/pool.h:1", "must not include", "local_engine/engine.h")

    def test_rooms_of_one_floor_do_not_see_each_other(self):
        self.assert_one({"local_engine/gguf/a.h": include("local_engine/kernels/kernel_table.h")},
                        "local_engine/gguf must not include local_engine/kernels")

    def test_a_library_that_includes_a_program(self):
        self.assert_one({"router/ledger.h": include("router/cli/table.h"), "router/cli/table.h": ""},
                        "router/faces must not include router/cli")

    def test_programs_do_not_include_each_other(self):
        self.assert_one({"router/daemon/a.cc": include("router/cli/table.h"),
                         "router/cli/table.h": ""}, "router/daemon must not include router/cli")

    def test_packages_side_by_side(self):
        self.assert_one({"policies/value.cc": include("local_engine/engine.h")},
                        "policies/pure must not include local_engine/face")

    def test_the_core_of_the_router_knows_no_engine(self):
        self.assert_one({"router/router.cc": include("local_engine/engine.h")},
                        "router/core must not include local_engine/face")

    def test_the_core_of_the_router_knows_no_wire(self):
        problems = self.problems({"router/router.cc": include("<grpcpp/grpcpp.h>")})
        self.assertEqual(len(problems), 1)
        self.assertIn("router/core must not know <grpcpp/grpcpp.h>", problems[0])

    def test_internal_headers_stay_inside(self):
        problems = self.problems({"router/cli/x.cc": include("local_engine/kernels/common/gemm-inl.h")})
        self.assertEqual(len(problems), 1)
        self.assertIn("router/cli", problems[0])

    def test_an_opened_header_is_opened_to_its_reader_only(self):
        self.assertEqual(self.problems({"router/cli/x.cc": include("local_engine/gguf/gguf_file.h")}),
                         [])
        self.assertEqual(len(self.problems(
            {"router/daemon/x.cc": include("local_engine/gguf/gguf_file.h")})), 1)

    def test_a_cycle_through_sources(self):
        self.assert_one({"router/daemon/a.h": "", "router/daemon/b.h": "",
                         "router/daemon/a.cc": include("router/daemon/b.h"),
                         "router/daemon/b.cc": include("router/daemon/a.h")},
                        "cycle between files", "router/daemon/a", "router/daemon/b")

    def test_a_header_and_its_source_are_no_cycle(self):
        self.assertEqual(self.problems({"router/ledger.h": "",
                                        "router/ledger.cc": include("router/ledger.h")}), [])

    def test_containers_in_a_kernel(self):
        self.assert_one({"local_engine/kernels/avx2/table.cc": include("<vector>")},
                        "a kernel file must not include <vector>")

    def test_folders_that_say_nothing(self):
        self.assert_one({"router/util/text.h": ""}, "router/util/")

    def test_kernels_common_is_the_one_exception(self):
        self.assertEqual(self.problems({"local_engine/kernels/common/norm-inl.h": ""}), [])

    def test_tests_are_not_product_code(self):
        self.assert_one({"router/ledger.cc": include("tests/testing/fake_backend.h")},
                        "product code does not include this")

    def test_every_room_names_rooms_that_exist(self):
        for room, (_, allowed) in check_floors.ROOMS.items():
            for other in allowed:
                self.assertIn(other, check_floors.ROOMS, f"{room} names {other}")

    def test_the_rooms_themselves_have_no_circle(self):
        # policies/pure lists the kinds (all_kinds.h), which derive from policy.h: one circle of rooms
        # that is none of files.
        graph = {room: set(allowed) for room, (_, allowed) in check_floors.ROOMS.items()}
        graph["policies/pure"].discard("policies/kinds")
        self.assertIsNone(check_floors.find_cycle(graph))


if __name__ == "__main__":
    unittest.main()
