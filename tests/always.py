"""Tests of which `pytest tests` runs some parameters; `thorough` has what it leaves out whole."""

from collections.abc import Mapping
from types import MappingProxyType

ALWAYS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "tests/checkpoint/formats/test_published.py": {
            # That a format has the fingerprint of its model is always asked of each.
            "test_what_is_published_generates_the_originals_images": (
                "AdvUnlearn",
                "ESD, CompVis",
                "LoRA, kohya, SD1 or SDXL",
                "SD3 transformer",
                "SPM",
                "diffusers pipeline folder",
            ),
        },
        "tests/checkpoint/test_families.py": {
            "test_a_loaded_pipeline_is_the_saved_one": ("lumina-2", "z-image"),
            "test_prompts_that_are_read_whole_are_told_from_those_that_are_not": ("lumina-2",),
        },
        "tests/checkpoint/test_fit.py": {
            "test_what_fits_is_found_to_fit_without_torch": ("sd1", "flux"),
        },
        "tests/checkpoint/test_inversion.py": {
            "test_every_format_generates_diffusers_images": ("sd1-3", "sdxl-1"),
        },
        "tests/checkpoint/test_loading.py": {
            "test_a_loaded_pipeline_generates_what_the_saved_one_did": ("sdxl", "sd3"),
            "test_a_pipeline_is_loaded_in_the_protocols_precision": (
                "bfloat16-sd1",
                "float16-flux",
            ),
        },
        "tests/generation/test_families.py": {
            "test_few_pictures_are_learned_by_heart": ("lumina-2", "qwen-image"),
        },
        "tests/generation/test_finetuning_backbones.py": {
            "test_under_mixed_precision_what_is_frozen_stays_in_the_checkpoints_dtype": (
                "flux-moderate",
                "sd1-lite",
                "sdxl-standard",
            ),
            "test_without_mixed_precision_everything_is_trained_in_full_precision": ("sd1", "sd3"),
        },
        "tests/generation/test_folder_families.py": {
            "TestTraining::test_few_pictures_are_learned_by_heart": ("pixart-sigma", "sana"),
            "TestTraining::test_under_mixed_precision_what_is_frozen_stays_in_the_checkpoints_"
            "dtype": (
                "pixart-sigma",
                "auraflow",
            ),
            "TestCounting::test_training_costs_what_torch_counts": ("sana",),
        },
        "tests/generation/test_learning.py": {
            "test_a_fine_tune_leaves_nothing_in_memory_but_what_it_learned": ("bf16-flux",),
            "test_a_fine_tune_that_runs_out_of_memory_is_made_again_with_less": ("sd3-profile6",),
            "test_a_library_that_gets_no_memory_is_answered_like_torch": (
                "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling",
            ),
            "test_whatever_is_predicted_is_learned": ("min-SNR-epsilon", "plain-v_prediction"),
        },
        "tests/generation/test_lengths.py": {
            "test_a_step_of_a_training_is_a_training_of_so_many_steps": (
                "cross-attention-plain",
                "denoiser-average",
            ),
            "test_a_killed_training_loses_no_step": ("3",),
        },
        "tests/generation/test_prompt_scaled.py": {
            "test_a_training_does_not_see_it_and_its_images_do": ("denoiser",),
        },
        "tests/generation/test_recipe_variants.py": {
            "test_a_recipes_variant_is_trained_once_kept_and_sampled": ("textual-inversion",),
        },
        "tests/generation/test_recipes.py": {
            "test_a_recipe_changes_what_it_trains_and_learns": (
                "diffusers-lora-sd1",
                "dreambooth-sdxl",
                "onetrainer-defaults-sd1",
                "textual-inversion-sd1",
            ),
            "test_an_interrupted_recipe_leaves_the_same_bits": ("dreambooth-sd1-changed3",),
        },
        "tests/generation/test_torchao.py": {
            "test_lora_learns_beside_packed_weights_that_stay": ("bf16",),
        },
        "tests/generation/test_training_state.py": {
            "test_an_interrupted_training_leaves_the_same_bits": (
                "cross-attention-plain",
                "denoiser-average",
            ),
        },
        "tests/generation/test_variants.py": {
            "test_a_variant_paints_other_images_than_the_checkpoint": ("moderate",),
            "test_another_recipe_is_another_variant": ("seed", "steps"),
        },
        "tests/judging/judges/test_registered_process.py": {
            "test_it_ends_with_the_run_however_that_ends": ("2", "15"),
        },
        "tests/planning/test_memory.py": {"test_training": ("profile1-20.507",)},
        # By one process or by two workers; each way ends some of these.
        "tests/plugin/test_runs.py": {
            "TestTheSameHoweverStarted::test_a_second_run_makes_nothing_and_says_the_same": (
                "-n2",
                "-p no:xdist",
            ),
            "TestExitCodes::test_a_missed_threshold_is_1": ("-n0",),
            "TestExitCodes::test_a_judge_that_raises_is_3": ("-n2",),
            "TestExitCodes::test_a_case_that_never_reports_is_3": ("-n2",),
            "TestPytestsManners::test_a_limit_decides_nothing": ("alone",),
        },
        "tests/plugin/test_report_page.py": {
            "test_is_made_again_to_the_byte": ("", "--spqr-show-prompts"),
        },
        "tests/plugin/test_snapshots.py": {
            "TestSnapshots::test_are_written_once_and_whole_and_then_compared": ("-n0",),
        },
        "tests/plugin/test_terminal.py": {
            "test_a_terminal_that_knows_ascii_alone": ("alone",),
            "test_pytest_s_own_plugins_may_be_off": ("capture-alone", "terminal-alone"),
            "test_what_breaks_every_case_is_said_once": ("n2",),
        },
        "tests/plugin/test_uptake.py": {
            "test_a_learning_rate_of_0_is_no_evidence": ("fixed",),
            "test_a_learning_rate_of_1_is_no_evidence": ("sequential",),
        },
        "tests/plugin/test_versions_refused.py": {
            "TestWhatCannotBeCompared::test_the_same_is_found_however_it_is_started": ("-n0",),
        },
        "tests/plugin/test_viewers.py": {
            "test_a_failed_case_shows_what_was_measured_and_which_images": (
                "()",
                "('--spqr-sequential',)",
            ),
            "test_github_shows_decision_thresholds_and_failed_cases": ("('-n2',)",),
        },
        "tests/plugin/test_model_option.py": {
            "test_the_space_form_works_from_anywhere": ("project-n2", "unrelated"),
        },
        "tests/plugin/test_pipelines.py": {
            "test_the_actions_steps_end_as_the_run_does": ("pass", "usage"),
            "test_the_templates_script_ends_as_the_run_does": ("undecided-sh",),
        },
        "tests/plugin/test_replaced.py": {
            "test_a_name_of_the_suite_is_refused": ("spqr_flags-n2", "spqr_gate-alone"),
            "test_a_name_of_the_suite_is_refused_however_it_is_given": ("alone",),
            "test_plain_names_belong_to_the_project": ("n2",),
        },
        "tests/testing/test_backbone_cases.py": {
            "TestBackbones::test_few_pictures_are_learned_by_heart": ("sd3", "sd2"),
            "TestBackbones::test_generating_costs_what_torch_counts": ("flux", "sd1"),
            "TestBackbones::test_training_costs_what_torch_counts": ("flux", "sd3"),
        },
    }
)
"""Of a test with parameters, those that are always run; its others are left out."""
