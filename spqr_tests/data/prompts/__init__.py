"""Prompt sets, in the layouts in which they are published, or the user's own."""

from spqr_tests.data.prompts.prompt import Prompt as Prompt
from spqr_tests.data.prompts.prompt_set import PromptSet as PromptSet
from spqr_tests.data.prompts.reading import read as read
from spqr_tests.data.prompts.roles import Role as Role
