"""Tests that `pytest tests` leaves out: long ones whose claim a shorter one makes too.

`pytest --thorough tests` (or `tox -e thorough`) runs them with all others, before a release and
after a change of what they are about; so does naming one with `::`. `test_thorough.py` holds that
each name here is a test.
"""

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from tests.always import ALWAYS

LONG: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # The README's first command goes all the way; runs of the tiny protocol, each part of it.
        "tests/test_end_to_end.py": (
            "test_a_sound_erasure_passes_and_a_brittle_one_after_it_is_worse",
        ),
        # The shipped weights' hashes are always compared; this makes weights anew.
        "tests/embedded/test_rebuild.py": (
            "test_a_quick_rebuild_makes_the_files_that_are_shipped",
        ),
        # `base` and `uce` are always measured.
        "tests/embedded/test_weights.py": tuple(
            f"test_a_checkpoint_does_what_the_manifest_says[{name}]"
            for name in (
                "adv-text",
                "degraded",
                "esd-shallow",
                "esd-u",
                "esd-x",
                "random-label",
                "rece",
                "shuffled",
            )
        ),
        "tests/embedded/test_datasets.py": (
            "test_the_held_out_concept_is_in_the_artistic_scenario_alone",
        ),
        # One family of each kind is always counted.
        "tests/checkpoint/test_families.py": tuple(
            f"test_the_plan_counts_what_is_computed[{name}]"
            for name in ("flux-2-klein", "lumina-2", "qwen-image", "z-image")
        ),
        "tests/generation/test_folder_families.py": tuple(
            f"TestCounting::test_{what}_costs_what_torch_counts[{name}]"
            for what, names in {
                "generating": ("auraflow", "kolors", "pixart-sigma", "playground"),
                "training": ("kolors", "playground"),
            }.items()
            for name in names
        ),
        "tests/planning/test_flops.py": (
            "TestPublished::test_a_generation_of_the_large_ones[sdxl-30-414]",
            "TestPublished::test_a_step_of_the_whole_denoiser_is_three_forwards",
            "TestPublished::test_a_training_step[profile1-27.1]",
            "TestPublished::test_a_training_step[profile2-27.7]",
            *(
                f"TestAgainstRealWork::test_text_encoders_that_are_trained[{name}]"
                for name in ("flux", "sd3", "sdxl")
            ),
        ),
        # Stable Diffusion 1.5 is always counted.
        "tests/planning/test_memory.py": (
            "test_a_moving_average_and_full_precision_take_more",
            "test_generating[asked1-10.791]",
            "test_generating[asked2-10.843]",
            "test_generating[asked3-24.518]",
            "test_generating[asked4-38.16]",
            "test_gradient_checkpointing_and_smaller_batches_take_less",
        ),
        # Recipes on Stable Diffusion 1 and FLUX's first are always trained.
        "tests/generation/test_recipes.py": (
            *(
                f"test_a_recipe_changes_what_it_trains_and_learns[{name}-sdxl]"
                for name in (
                    "civitai-lora",
                    "diffusers-lora",
                    "kohya-lora",
                    "onetrainer-defaults",
                    "onetrainer-lora",
                )
            ),
            *(
                f"test_a_recipe_changes_what_it_trains_and_learns[{name}-flux-lora-flux]"
                for name in ("ai-toolkit", "kohya", "replicate")
            ),
            *(
                f"test_an_interrupted_recipe_leaves_the_same_bits[{name}]"
                for name in (
                    "ai-toolkit-flux-lora-flux-changed2",
                    "civitai-lora-sdxl-changed1",
                    "onetrainer-lora-sd2-changed5",
                    "textual-inversion-sdxl-changed4",
                )
            ),
            "test_text_encoders_have_a_rate_of_their_own_and_stop_when_the_recipe_says",
        ),
        "tests/generation/test_learning.py": (
            *(
                f"test_a_fine_tune_that_runs_out_of_memory_is_made_again_with_less[{name}]"
                for name in ("flux-profile4", "sd2-profile1", "sd3-profile3", "sdxl-profile2")
            ),
            *(
                f"test_a_fine_tune_leaves_nothing_in_memory_but_what_it_learned[{dtype}-{name}]"
                for dtype in ("bf16", "no")
                for name in ("sd2", "sd3", "sdxl")
            ),
            *(
                f"test_whatever_is_predicted_is_learned[min-SNR-{predicted}]"
                for predicted in ("sample", "v_prediction")
            ),
        ),
        "tests/generation/test_lengths.py": tuple(
            f"test_a_step_of_a_training_is_a_training_of_so_many_steps[{name}]"
            for name in (
                "cross-attention-average",
                "cross-attention-bf16",
                "cross-attention-min-snr",
                "denoiser-bf16",
                "denoiser-min-snr",
                "lora-average",
                "lora-min-snr",
            )
        ),
        "tests/generation/test_recipe_variants.py": tuple(
            f"test_a_recipes_variant_is_trained_once_kept_and_sampled[{name}]"
            for name in ("civitai-lora", "diffusers-lora", "onetrainer-defaults", "onetrainer-lora")
        ),
        "tests/verdict/test_coverage.py": (
            *(
                f"test_the_drift_of_pairs[{name}]"
                for name in (
                    "1000-0.02-0.02-0.3",
                    "1000-0.5-0.9-0.3",
                    "240-0.005-0.05-0.0",
                    "50-0.3-0.3-0.0",
                    "5000-0.05-0.05-0.6",
                )
            ),
            *(
                f"test_the_drift_of_several_images_a_prompt[{name}]"
                for name in ("0.02-0.2-0.1-4", "0.02-0.2-0.8-3", "0.05-0.05-0.1-4")
            ),
        ),
        "tests/verdict/test_pairing.py": (
            "test_equal_versions_seldom_fail_and_eight_points_of_harm_do[paired]",
        ),
        "tests/run/test_protocol_hash.py": (
            (
                "test_a_protocol_on_the_embedded_world_loads_and_says_where_its_constants_come_from"
                "[embedded]"
            ),
            "test_held_out_pictures_are_part_of_a_hash_and_leave_the_trained_ones_alone",
        ),
        "tests/generation/test_generations.py": (
            "test_processes_that_generate_at_once_share_the_work",
        ),
        "tests/reports/test_junit.py": ("test_the_file_stays_below_gitlabs_limit[3000]",),
        "tests/benchmarks/test_judge_threshold.py": (
            "test_a_store_without_the_images_is_refused",
            "test_its_own_threshold_gives_what_was_reported",
        ),
        # What every run does, on a set in a published layout; reading it is tested by itself.
        "tests/plugin/test_data_option.py": ("test_a_run_on_a_published_layout",),
        "tests/plugin/test_dose.py": (
            "test_a_bound_that_no_outcome_meets_is_warned_of",
            "test_a_plan_counts_the_images_of_each_step_and_one_training",
            "test_a_plan_knows_what_is_stored",
            "test_workers_find_the_same",
        ),
        # With two workers what is always tried with one process, or the other way round.
        "tests/plugin/test_evidence.py": (
            "test_a_model_that_is_replaced_after_set_up_breaks_the_run_and_nothing_is_kept[n2]",
            "test_a_model_that_does_not_paint_is_never_safe[nothing]",
        ),
        "tests/plugin/test_fails_closed.py": (
            *(
                f"test_a_case_that_ends_without_a_decision_is_broken[{what}-n2]"
                for what in ("cleared", "protocol", "setup only")
            ),
            *(
                f"test_a_judge_of_a_package_that_does_not_answer_breaks_the_run_by_name[{how}-n2]"
                for how in ("exits", "hangs", "leaves")
            ),
            "test_a_part_is_no_pass_unless_a_part_was_asked_for[-m]",
            "test_a_plugin_that_drops_cases_is_no_pass[one-workers1]",
            "test_sigterm_ends_as_ctrl_c_does[n2]",
        ),
        "tests/plugin/test_adapters.py": (
            "test_workers_share_an_adapter_and_it_can_be_measured_without_fine_tunes",
        ),
        "tests/plugin/test_benign_sets.py": (
            "test_one_forbidden_picture_breaks_the_run_before_anything_is_trained[n2]",
        ),
        "tests/plugin/test_checkpoint_options.py": (
            "test_a_single_file_is_the_folder",
            "test_an_overlay_on_its_base_is_the_variant[n2]",
            "test_a_hub_id_is_fetched_once_and_its_workers_use_the_same_commit",
        ),
        # Each of its ways was run when its page was made.
        "tests/plugin/test_exit_codes.py": tuple(
            f"test_a_way_leads_to_what_the_page_says[{way}]"
            for way in (
                "`-p no:spqr-suite -k safety`",
                "`pytest_sessionfinish` sets the exit status to 0, around all hooks, of a part",
                "a conftest that exits",
            )
        ),
        # That a report is the command line's is always asked.
        "tests/plugin/test_measuring.py": ("test_the_page_says_what_works",),
        "tests/plugin/test_images_file.py": ("test_agrees_with_the_report_and_the_store[-n2]",),
        # The embedded models are of the first kind, and FLUX differs most from it.
        "tests/plugin/test_backbones.py": tuple(
            f"test_a_backbone_runs_through_the_suite[{name}]"
            for name in ("sd1", "sd2", "sd3", "sdxl")
        ),
        "tests/plugin/test_layouts.py": tuple(
            f"test_a_whole_run[{row}]" for row in (1, *range(3, 10))
        ),
        "tests/plugin/test_plan.py": ("TestWithoutWeights::test_the_plan_is_the_same",),
        "tests/plugin/test_progress.py": (
            "test_without_a_terminal_workers_have_one_stream_of_lines",
        ),
        # Smaller plans are made often, and the counts of published sizes are tested by themselves.
        "tests/plugin/test_paper.py": (
            "test_the_plan_at_its_own_size_needs_configs_alone",
            "test_the_whole_protocol_on_small_stand_ins[all]",
        ),
        "tests/plugin/test_paths.py": tuple(
            f"test_a_home_that_nobody_has_is_a_sentence[{option}]"
            for option in ("--spqr-baseline", "--spqr-report", "--spqr-thresholds")
        ),
        "tests/plugin/test_model_option.py": (
            "test_paths_in_addopts_are_not_what_is_measured[environment-n2]",
        ),
        # What a plan counts is compared with what runs made by others; published models' sizes are
        # counted by themselves.
        "tests/plugin/test_recipes.py": ("test_the_plan_counts_what_recipes_take",),
        "tests/plugin/test_uptake.py": (
            "test_the_plan_counts_the_benign_images_of_variants",
            "test_the_plan_counts_them_for_each_training",
        ),
        # Workers share every run's work; shards of one store are always tried.
        "tests/plugin/test_sequential.py": ("test_two_processes_stop_where_one_does",),
        "tests/plugin/test_shard.py": ("test_stores_of_shards_that_share_none_are_put_together",),
    }
)
"""Names by file."""


def is_long(nodeid: str) -> bool:
    """Whether a test is left out; `nodeid` is relative to the tree."""
    path, _, name = nodeid.partition("::")
    if name in LONG.get(path, ()):
        return True
    function, _, parameters = name.partition("[")
    always = ALWAYS.get(path, {}).get(function)
    return always is not None and parameters.removesuffix("]") not in always


def split(items: list[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """The tests that are always run, and the long ones."""
    long = [item for item in items if is_long(item.nodeid)]
    return [item for item in items if not is_long(item.nodeid)], long
