#include "models/gguf_names.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
        const char *ours, *theirs;
} whole[] = {
        { "model.embed_tokens.weight", "token_embd.weight" },
        { "model.norm.weight", "output_norm.weight" },
        { "lm_head.weight", "output.weight" },
}, parts[] = {
        { "input_layernorm.", "attn_norm." },
        { "self_attn.q_proj.", "attn_q." },
        { "self_attn.k_proj.", "attn_k." },
        { "self_attn.v_proj.", "attn_v." },
        { "self_attn.o_proj.", "attn_output." },
        { "self_attn.q_norm.", "attn_q_norm." },
        { "self_attn.k_norm.", "attn_k_norm." },
        { "post_attention_layernorm.", "ffn_norm." },
        { "mlp.gate_proj.", "ffn_gate." },
        { "mlp.up_proj.", "ffn_up." },
        { "mlp.down_proj.", "ffn_down." },
};

bool scope_gguf_name(
        const struct scope_tensor *tensor, char ret_name[SCOPE_GGUF_NAME_BYTES_MAX + 1])
{
        unsigned layer;
        int used = 0;
        for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
                if (strcmp(tensor->name, whole[i].ours) == 0) {
                        (void)snprintf(ret_name, SCOPE_GGUF_NAME_BYTES_MAX + 1, "%s",
                                whole[i].theirs); /* fits */
                        return true;
                }
        if (sscanf(tensor->name, "model.layers.%u.%n", &layer, &used) != 1 || used == 0)
                return false;
        const char *part = tensor->name + used;
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
                const size_t bytes = strlen(parts[i].ours);
                if (strncmp(part, parts[i].ours, bytes) == 0) {
                        (void)snprintf(ret_name, SCOPE_GGUF_NAME_BYTES_MAX + 1, "blk.%u.%s%s",
                                layer, parts[i].theirs, part + bytes); /* fits */
                        return true;
                }
        }
        return false;
}

uint32_t scope_gguf_head_rows(
        const struct scope_model_config *config, const struct scope_tensor *tensor)
{
        if (strcmp(config->model_type, "llama") != 0)
                return 0;
        return strstr(tensor->name, ".q_proj.") != NULL || strstr(tensor->name, ".k_proj.") != NULL
                ? config->head_dim : 0;
}

void scope_gguf_rope_factors(const struct scope_model_config *config, float *ret_factors)
{
        const struct scope_rope_scaling *scaling = &config->rope_scaling;
        const double pi = 3.14159265358979323846;
        const double low = (double)scaling->low_freq_factor;
        const double high = (double)scaling->high_freq_factor;
        const double factor = (double)scaling->factor;
        for (uint32_t i = 0; i < config->head_dim / 2; i++) {
                double frequency = pow((double)config->rope_theta, -2.0 * i / config->head_dim);
                double turns = scaling->original_positions * frequency / (2 * pi);
                double keep = (turns - low) / (high - low);
                keep = keep < 0 ? 0 : keep > 1 ? 1 : keep;
                ret_factors[i] = scaling->on ? (float)(1 / ((1 - keep) / factor + keep)) : 1.0f;
        }
}
