"""Made-up checkouts in the layouts of public judges' code, without a word of theirs."""

from spatialreward.protocol.importing import PublicJudge

_EDITSCORE = {
    "editscore/vie_prompts.py": """
_context_no_delimit_reasoning_first = "a context of 10"
_prompts_0shot_two_image_edit_rule = "compare"
_prompts_0shot_tie_rule_SC = "0 to 10, asked: <instruction>\\n"
_prompts_0shot_rule_PQ = "0 to 10 for looks"
""",
    "editscore/mllm_tools/qwen25vl.py": """
import a_module_that_is_not_there

def apply_chat_template(prompt, num_images=2):
    "what it does"
    template = "<made up>\\n"
    template += prompt
    return template
""",
}
_FILES = {
    PublicJudge.EDITSCORE_QWEN2_5_VL: _EDITSCORE,
    PublicJudge.EDITSCORE_QWEN3_VL: _EDITSCORE,
    PublicJudge.VIESCORE: {
        "viescore/vie_prompts.py": """
_context_no_delimit = "a context of {braces}"
_prompts_0shot_two_image_edit_rule = "compare"
_prompts_0shot_tie_rule_SC = "0 to 10, asked: <instruction>\\n"
_prompts_0shot_rule_PQ = "0 to 10 for looks"
""",
    },
    PublicJudge.EDITREWARD: {
        "EditReward/dataset/prompts.py": """
INSTRUCTION_EDIT_FOLLOWING = "\\nfollows {{x}}? {text_prompt}\\n"
INSTRUCTION_EDIT_QUALITY = "\\nlooks? {text_prompt}\\n"
""",
        "EditReward/dataset/data_collator_qwen_edit.py": """
prompt_with_special_token = "\\nread here: <|Reward|>\\n"
""",
    },
    PublicJudge.RATIONALREWARDS: {
        "diffusion_rl_training/train_flux_kontext_rationalrewards.py": """
SYSTEM_PROMPT = ("You " "judge.")
TASK_RELATED_TEMPLATE = "Asked: {request}\\nbefore <image>\\nbehind <image>\\n"
COMMON_TASK_GUIDELINE = "guideline {with} braces"
""",
    },
    PublicJudge.FIRM_EDIT: {
        "editing/reward_server/prompt_template.py": """
SCORE_EXECUTION = "done? {prompt} {{1}}"
SCORE_CONSISTENCY = "kept? {prompt} {{2}}"
""",
    },
    PublicJudge.UNIFIEDREWARD_EDIT: {
        "UnifiedReward-Edit/edit_pointwise_instruction_following.py": """
instruction = ""
problem = "compare:" + f"{instruction}\\n"
""",
        "UnifiedReward-Edit/edit_pointwise_quality.py": "problem = 'look'\n",
    },
}


def write_checkout(folder, judge):
    """The files of a judge's code that are read."""
    for name, code in _FILES[judge].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    return folder
