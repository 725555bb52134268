/* transformer_decode.c - the stages of one forward, each rank's share of them.
 * Alone, a rank has rows of its own and takes every share. In a team all ranks have the same rows:
 * columns of products, heads of attention and rows of draws are shared out, and they meet after
 * each stage, so that the weights are read from memory once for all. A stage writes only its share
 * and reads what was written before the last meeting; norms are each rank's own. */
#include "models/transformer_decode.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/check.h"
#include "kernels/binary_head.h"
#include "kernels/embedding.h"
#include "kernels/gemm_packed.h"
#include "kernels/kernels.h"
#include "kernels/rmsnorm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"
#include "kernels/token_logprob.h"
#include "kernels/token_sample.h"
#include "models/comm.h"
#include "runtime/trace_work.h"

enum { ROWS = SCOPE_DECODER_ROWS, LOGIT_FLOATS_AIM = 1 << 20, ALIGN = 64, PAGE = 2 << 20 };
/* Weights that one core's cache can hold are worth no meetings. */
enum { TEAM_BYTES = 4 << 20 };
static const uint64_t MEETING_NS_MAX = 3600000000000u; /* its ranks are on cores: none is late */
enum { MATRIX_Q, MATRIX_K, MATRIX_V, MATRIX_O, MATRIX_GATE, MATRIX_UP, MATRIX_DOWN, MATRIX_LAYER };

struct matrix {
        size_t offset; /* in the parameters */
        uint32_t n, k;
        void *packed;
};

/* Working memory of one rank, or of a team. */
struct bench {
        float *x, *q, *k, *v, *attended, *gate, *up, *logits;
        uint32_t tokens[ROWS], positions[ROWS];
        float temperature[ROWS], top_p[ROWS], uniform[ROWS], logp[ROWS], entropy[ROWS];
        struct scope_attention_decode_row kv[ROWS];
        uint64_t context; /* positions seen by all rows: what attention costs */
};

/* What a rank never shares. */
struct own {
        float *normed, *attention_scratch, *sample_scratch;
        void *rounded; /* int8: rows as the product kernel rounds them */
        enum scope_err err;
};

/* What a team does next, set by its leader before a meeting. */
struct order {
        enum { ORDER_END, ORDER_FORWARD, ORDER_SAMPLE, ORDER_LOGP, ORDER_REWARD } what;
        const struct scope_kv_cache *cache;
        struct scope_decoder_draw *draws;
        const uint32_t *targets;
        float *out;
        uint32_t count;
        const char *work; /* what it is for: those who follow charge their time to it too */
};

struct scope_decoder {
        const struct scope_layout *layout;
        const struct scope_kernels *kernels;
        const float *weights;
        struct matrix *matrices; /* MATRIX_LAYER a layer, then the head's one */
        uint32_t matrix_count, tokens_used, logit_rows, panel_count;
        enum scope_form form;
        unsigned ranks;
        unsigned together;       /* ranks that follow the leader's orders, it among them */
        struct scope_comm *comm; /* NULL: no team */
        struct order order;
        unsigned char *memory;   /* of everything here */
        float *rope;
        struct bench *benches;   /* [ranks]; a team has one */
        struct own *own;         /* [ranks] */
};

/* A rank's share of a stage: `rank` of `size`. */
struct part {
        const struct scope_decoder *decoder;
        struct bench *bench;
        struct own *own;
        unsigned rank, size;
        uint32_t rows;
};

/* Kernels on the CPU fail only where their header says so. */
static void must(enum scope_err err)
{
        scope_assert(err == SCOPE_OK);
}

/* Where this part's share of `count` things begins. */
static uint32_t share(const struct part *part, uint32_t count, unsigned rank)
{
        return (uint32_t)((uint64_t)count * rank / part->size);
}

static void meet(const struct part *part)
{
        struct scope_comm *comm = part->decoder->comm;
        if (part->size > 1)
                must(comm->class_->barrier(comm, part->rank));
}

/* --- setup ------------------------------------------------------------------------------- */

static void add_matrix(struct scope_decoder *decoder, size_t offset, uint32_t n, uint32_t k)
{
        decoder->matrices[decoder->matrix_count++] = (struct matrix){ offset, n, k, NULL };
        decoder->panel_count += scope_panel_count(n);
}

static void add_matrices(struct scope_decoder *decoder)
{
        const struct scope_layout *layout = decoder->layout;
        const struct scope_model_config *c = &layout->config;
        uint32_t query = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
        for (uint32_t i = 0; i < c->layers; i++) {
                const struct scope_layer_offsets *at = &layout->layers[i];
                add_matrix(decoder, at->q, query, c->hidden); /* in the order of MATRIX_* */
                add_matrix(decoder, at->k, kv, c->hidden);
                add_matrix(decoder, at->v, kv, c->hidden);
                add_matrix(decoder, at->o, c->hidden, query);
                add_matrix(decoder, at->gate, c->ffn, c->hidden);
                add_matrix(decoder, at->up, c->ffn, c->hidden);
                add_matrix(decoder, at->down, c->hidden, c->ffn);
        }
        if (c->head == SCOPE_HEAD_REWARD)
                add_matrix(decoder, layout->score_0, c->hidden, c->hidden);
        else if (c->head == SCOPE_HEAD_LANGUAGE)
                add_matrix(decoder, layout->output, c->vocab, c->hidden);
}

/* Hands out the next `bytes` of `base`; with base NULL only counts. */
static void *carve(unsigned char *base, size_t *used, size_t bytes)
{
        void *piece = base != NULL ? base + *used : NULL;
        *used += (bytes + ALIGN - 1) / ALIGN * ALIGN;
        return piece;
}

static float *carve_floats(unsigned char *base, size_t *used, size_t floats)
{
        return carve(base, used, floats * sizeof(float));
}

static void carve_bench(struct scope_decoder *decoder, struct bench *bench, unsigned char *base,
        size_t *used)
{
        const struct scope_model_config *c = &decoder->layout->config;
        size_t query = (size_t)c->heads * c->head_dim, kv = (size_t)c->kv_heads * c->head_dim;
        bench->x = carve_floats(base, used, ROWS * (size_t)c->hidden);
        bench->q = carve_floats(base, used, ROWS * query);
        bench->k = carve_floats(base, used, ROWS * kv);
        bench->v = carve_floats(base, used, ROWS * kv);
        bench->attended = carve_floats(base, used, ROWS * query);
        bench->gate = carve_floats(base, used, ROWS * (size_t)c->ffn);
        bench->up = carve_floats(base, used, ROWS * (size_t)c->ffn);
        bench->logits = carve_floats(base, used, c->head == SCOPE_HEAD_LANGUAGE
                        ? (size_t)decoder->logit_rows * c->vocab : ROWS * (size_t)c->hidden);
}

/* The longest row that a matrix takes. */
static uint32_t widest(const struct scope_model_config *c)
{
        uint32_t query = c->heads * c->head_dim, width = c->hidden > query ? c->hidden : query;
        return width > c->ffn ? width : c->ffn;
}

/* Places everything in `base`; returns the bytes it takes. */
static size_t carve_all(struct scope_decoder *decoder, uint32_t context_max, unsigned char *base)
{
        const struct scope_model_config *c = &decoder->layout->config;
        size_t used = 0;
        for (uint32_t i = 0; i < decoder->matrix_count; i++) {
                struct matrix *matrix = &decoder->matrices[i];
                matrix->packed = carve(base, &used,
                        scope_gemm_packed_bytes(decoder->form, matrix->n, matrix->k));
        }
        decoder->rope = carve_floats(base, &used, (size_t)context_max * c->head_dim);
        for (unsigned rank = 0; rank < decoder->ranks; rank++) {
                struct own *own = &decoder->own[rank];
                if (rank == 0 || decoder->comm == NULL)
                        carve_bench(decoder, &decoder->benches[rank], base, &used);
                own->normed = carve_floats(base, &used, ROWS * (size_t)c->hidden);
                own->attention_scratch = carve_floats(base, &used,
                        scope_attention_decode_scratch(context_max));
                own->rounded = carve(base, &used, decoder->form == SCOPE_FORM_INT8
                                ? scope_gemm_packed_scratch(ROWS, widest(c)) : 0);
                own->sample_scratch = carve_floats(base, &used,
                        c->head == SCOPE_HEAD_LANGUAGE ? scope_token_sample_scratch(c->vocab) : 0);
        }
        return used;
}

static enum scope_err make_team(struct scope_decoder *decoder)
{
        size_t bytes = 0;
        for (uint32_t i = 0; i < decoder->matrix_count; i++)
                bytes += scope_gemm_packed_bytes(
                        decoder->form, decoder->matrices[i].n, decoder->matrices[i].k);
        if (decoder->ranks == 1 || bytes < TEAM_BYTES)
                return SCOPE_OK;
        enum scope_err err = scope_comm_threads_create(decoder->ranks, &decoder->comm);
        if (err == SCOPE_OK)
                decoder->comm->deadline_ns = MEETING_NS_MAX;
        return err;
}

static void choose_logit_rows(struct scope_decoder *decoder)
{
        uint32_t rows = LOGIT_FLOATS_AIM / decoder->layout->config.vocab;
        if (decoder->comm != NULL) /* reading the head's weights again would cost more */
                rows = ROWS;
        decoder->logit_rows = rows < 1 ? 1 : rows > ROWS ? ROWS : rows;
}

static enum scope_err allocate(struct scope_decoder *decoder, uint32_t context_max)
{
        enum scope_err err = SCOPE_OK;
        uint32_t layers = decoder->layout->config.layers;
        decoder->benches = calloc(decoder->ranks, sizeof *decoder->benches);
        decoder->own = calloc(decoder->ranks, sizeof *decoder->own);
        decoder->matrices = calloc((size_t)layers * MATRIX_LAYER + 1, sizeof *decoder->matrices);
        if (decoder->benches == NULL || decoder->own == NULL || decoder->matrices == NULL)
                return SCOPE_ERR_MEMORY;
        add_matrices(decoder);
        if ((err = make_team(decoder)) != SCOPE_OK)
                return err;
        choose_logit_rows(decoder);
        size_t bytes = (carve_all(decoder, context_max, NULL) + PAGE - 1) / PAGE * PAGE;
        decoder->memory = aligned_alloc(PAGE, bytes);
        if (decoder->memory == NULL)
                return SCOPE_ERR_MEMORY;
        if (decoder->comm != NULL)
                (void)madvise(decoder->memory, bytes, MADV_HUGEPAGE); /* only faster */
        (void)carve_all(decoder, context_max, decoder->memory);
        return SCOPE_OK;
}

enum scope_err scope_decoder_create(
        const struct scope_decoder_options *options, struct scope_decoder **ret_decoder)
{
        const struct scope_model_config *config = &options->layout->config;
        struct scope_decoder *decoder = calloc(1, sizeof *decoder);
        if (decoder == NULL)
                return SCOPE_ERR_MEMORY;
        decoder->layout = options->layout;
        decoder->ranks = options->ranks;
        decoder->together = 1;
        decoder->form = options->weights;
        decoder->tokens_used = options->tokens_used;
        decoder->kernels = scope_kernels_pick(SCOPE_DEVICE_CPU);
        enum scope_err err = decoder->kernels != NULL ? SCOPE_OK : SCOPE_ERR_UNSUPPORTED;
        if (err == SCOPE_OK)
                err = allocate(decoder, options->context_max);
        if (err != SCOPE_OK) {
                scope_decoder_destroy(decoder);
                return err;
        }
        scope_rope_table(&(struct scope_rope_table_args){ config->rope_theta,
                                 config->rope_scaling, options->context_max, config->head_dim },
                decoder->rope);
        *ret_decoder = decoder;
        return SCOPE_OK;
}

void scope_decoder_destroy(struct scope_decoder *decoder)
{
        if (decoder == NULL)
                return;
        scope_comm_destroy(decoder->comm);
        free(decoder->memory);
        free(decoder->matrices);
        free(decoder->benches);
        free(decoder->own);
        free(decoder);
}

/* --- weights ----------------------------------------------------------------------------- */

void scope_decoder_pack(struct scope_decoder *decoder, const float *weights, unsigned rank,
        unsigned size)
{
        /* All panels of all matrices in a row; this rank's are [begin, end). */
        uint32_t begin = (uint32_t)((uint64_t)decoder->panel_count * rank / size);
        uint32_t end = (uint32_t)((uint64_t)decoder->panel_count * (rank + 1) / size), first = 0;
        for (uint32_t i = 0; i < decoder->matrix_count; i++) {
                const struct matrix *matrix = &decoder->matrices[i];
                uint32_t panels = scope_panel_count(matrix->n);
                uint32_t from = begin > first ? begin - first : 0,
                         to = end > first ? end - first : 0;
                from = from < panels ? from : panels;
                to = to < panels ? to : panels;
                scope_gemm_pack(decoder->form, weights + matrix->offset, matrix->n, matrix->k,
                        from, to, matrix->packed);
                first += panels;
        }
}

void scope_decoder_use(struct scope_decoder *decoder, const float *weights)
{
        decoder->weights = weights;
}

/* --- forward ----------------------------------------------------------------------------- */

static const float *parameter(const struct scope_decoder *decoder, size_t offset)
{
        return offset != SIZE_MAX ? decoder->weights + offset : NULL;
}

struct product {
        uint32_t matrix;
        size_t bias; /* SIZE_MAX = none */
        const float *x;
        float *y;
        bool accumulate, again; /* again: x is what the product before had */
};

/* This rank's columns of a product of `rows` rows, in whole panels. */
static void product(const struct part *part, uint32_t rows, const struct product *of)
{
        const struct scope_decoder *decoder = part->decoder;
        const struct matrix *m = &decoder->matrices[of->matrix];
        const struct matrix *next = &decoder->matrices[(of->matrix + 1) % decoder->matrix_count];
        uint32_t panels = scope_panel_count(m->n);
        struct scope_gemm_packed_args args = { .x = of->x, .packed = m->packed,
                .bias = parameter(decoder, of->bias), .y = of->y, .m = rows, .n = m->n, .k = m->k,
                .scratch = part->own->rounded, .rounded = of->again,
                .panel_begin = share(part, panels, part->rank),
                .panel_end = share(part, panels, part->rank + 1),
                .next = (const unsigned char *)next->packed
                        + share(part, scope_panel_count(next->n), part->rank)
                                * scope_panel_bytes(decoder->form, next->k),
                .weights = decoder->form, .accumulate = of->accumulate };
        must(decoder->kernels->gemm_packed(&args, NULL));
}

static void norm(const struct part *part, size_t weight, const float *x, float *y, uint32_t rows,
        uint32_t width)
{
        const struct scope_decoder *decoder = part->decoder;
        struct scope_rmsnorm_args args = { .x = x, .weight = parameter(decoder, weight), .y = y,
                .rows = rows, .width = width, .eps = decoder->layout->config.rms_eps };
        must(decoder->kernels->rmsnorm(&args, NULL));
}

/* Norms (where the model has them) and turns this rank's share of rows x heads. */
static void turn_heads(const struct part *part, float *x, uint32_t heads, size_t weight)
{
        const struct scope_model_config *c = &part->decoder->layout->config;
        uint32_t begin = share(part, part->rows * heads, part->rank);
        uint32_t end = share(part, part->rows * heads, part->rank + 1);
        if (c->qk_norm && end > begin)
                norm(part, weight, x + (size_t)begin * c->head_dim,
                        x + (size_t)begin * c->head_dim, end - begin, c->head_dim);
        for (uint32_t unit = begin, count; unit < end; unit += count) {
                bool whole = unit % heads == 0 && end - unit >= heads; /* many rows at once */
                uint32_t rows = whole ? (end - unit) / heads : 1;
                uint32_t left = heads - unit % heads;
                count = whole ? rows * heads : left < end - unit ? left : end - unit;
                struct scope_rope_args args = { .x = x + (size_t)unit * c->head_dim,
                        .positions = part->bench->positions + unit / heads,
                        .table = part->decoder->rope, .rows = rows, .heads = count / rows,
                        .head_dim = c->head_dim };
                must(part->decoder->kernels->rope(&args, NULL));
        }
}

/* This rank's share of rows x key-value heads goes into the cache. */
static void keep_keys(const struct part *part, float *blocks, size_t block_floats)
{
        const struct scope_model_config *c = &part->decoder->layout->config;
        const struct bench *bench = part->bench;
        uint32_t end = share(part, part->rows * c->kv_heads, part->rank + 1);
        for (uint32_t unit = share(part, part->rows * c->kv_heads, part->rank); unit < end;
                unit++) {
                const struct scope_attention_decode_row *kv = &bench->kv[unit / c->kv_heads];
                uint32_t place = kv->own_count - 1;
                struct scope_kv_put put = { .block = blocks
                                + kv->own[place / SCOPE_KV_BLOCK] * block_floats,
                        .k = bench->k + (size_t)unit * c->head_dim,
                        .v = bench->v + (size_t)unit * c->head_dim,
                        .place = place % SCOPE_KV_BLOCK, .head = unit % c->kv_heads,
                        .kv_heads = c->kv_heads, .head_dim = c->head_dim };
                scope_kv_block_put(&put);
        }
}

/* The first of rows x heads of a rank: ranks have the same number of positions to look at. */
static uint32_t attention_begin(const struct part *part, unsigned rank)
{
        uint32_t heads = part->decoder->layout->config.heads;
        uint64_t goal = part->bench->context * rank, passed = 0;
        for (uint32_t row = 0; row < part->rows; row++) {
                const struct scope_attention_decode_row *kv = &part->bench->kv[row];
                uint64_t here = (uint64_t)(kv->shared_count + kv->own_count) * part->size;
                if (passed + here > goal)
                        return row * heads + (uint32_t)((goal - passed) * heads / here);
                passed += here;
        }
        return part->rows * heads;
}

static void attend(const struct part *part, const struct scope_kv_cache *cache, uint32_t layer)
{
        const struct scope_decoder *decoder = part->decoder;
        const struct scope_model_config *c = &decoder->layout->config;
        const struct scope_layer_offsets *at = &decoder->layout->layers[layer];
        struct bench *bench = part->bench;
        const float *normed = part->own->normed;
        uint32_t base = layer * MATRIX_LAYER, rows = part->rows;
        float *blocks = scope_kv_layer(cache, layer);
        product(part, rows, &(struct product){ .matrix = base + MATRIX_Q, .bias = at->q_bias,
                .x = normed, .y = bench->q });
        product(part, rows, &(struct product){ .matrix = base + MATRIX_K, .bias = at->k_bias,
                .x = normed, .y = bench->k, .again = true });
        product(part, rows, &(struct product){ .matrix = base + MATRIX_V, .bias = at->v_bias,
                .x = normed, .y = bench->v, .again = true });
        meet(part);
        turn_heads(part, bench->q, c->heads, at->q_norm);
        turn_heads(part, bench->k, c->kv_heads, at->k_norm);
        keep_keys(part, blocks, cache->block_floats);
        meet(part);
        struct scope_attention_decode_args args = { .q = bench->q,
                .blocks = blocks,
                .row = bench->kv,
                .out = bench->attended,
                .scratch = part->own->attention_scratch,
                .rows = rows,
                .heads = c->heads,
                .kv_heads = c->kv_heads,
                .head_dim = c->head_dim,
                .begin = attention_begin(part, part->rank),
                .end = attention_begin(part, part->rank + 1) };
        must(decoder->kernels->attention_decode(&args, NULL));
        meet(part);
        product(part, rows, &(struct product){ .matrix = base + MATRIX_O, .bias = at->o_bias,
                .x = bench->attended, .y = bench->x, .accumulate = true });
        meet(part);
}

/* gate becomes silu(gate) up, in the columns that this rank computed of both. */
static void swiglu(const struct part *part)
{
        const struct scope_decoder *decoder = part->decoder;
        struct bench *bench = part->bench;
        uint32_t ffn = decoder->layout->config.ffn, panels = scope_panel_count(ffn);
        uint32_t begin = share(part, panels, part->rank) * SCOPE_PANEL;
        uint32_t end = share(part, panels, part->rank + 1) * SCOPE_PANEL;
        uint32_t times = part->size > 1 ? part->rows : 1;
        end = end < ffn ? end : ffn;
        for (uint32_t i = 0; i < times && end > begin; i++) {
                float *gate = bench->gate + (size_t)i * ffn + begin;
                struct scope_swiglu_args args = { .gate = gate,
                        .up = bench->up + (size_t)i * ffn + begin, .out = gate,
                        .count = part->size > 1 ? end - begin : (size_t)part->rows * ffn };
                must(decoder->kernels->swiglu(&args, NULL));
        }
}

static void feed_forward(const struct part *part, uint32_t layer)
{
        struct bench *bench = part->bench;
        uint32_t base = layer * MATRIX_LAYER, rows = part->rows;
        const float *normed = part->own->normed;
        product(part, rows, &(struct product){ .matrix = base + MATRIX_GATE, .bias = SIZE_MAX,
                .x = normed, .y = bench->gate });
        product(part, rows, &(struct product){ .matrix = base + MATRIX_UP, .bias = SIZE_MAX,
                .x = normed, .y = bench->up, .again = true });
        swiglu(part);
        meet(part);
        product(part, rows, &(struct product){ .matrix = base + MATRIX_DOWN, .bias = SIZE_MAX,
                .x = bench->gate, .y = bench->x, .accumulate = true });
        meet(part);
}

static void embed(const struct part *part)
{
        const struct scope_decoder *decoder = part->decoder;
        uint32_t hidden = decoder->layout->config.hidden;
        uint32_t begin = share(part, part->rows, part->rank);
        uint32_t end = share(part, part->rows, part->rank + 1);
        struct scope_embedding_args args = { .tokens = part->bench->tokens + begin,
                .table = parameter(decoder, decoder->layout->embedding),
                .out = part->bench->x + (size_t)begin * hidden, .rows = end - begin,
                .width = hidden };
        if (end > begin)
                must(decoder->kernels->embedding(&args, NULL));
        meet(part);
}

static void forward(const struct part *part, const struct scope_kv_cache *cache)
{
        const struct scope_layout *layout = part->decoder->layout;
        uint32_t hidden = layout->config.hidden;
        embed(part);
        for (uint32_t layer = 0; layer < layout->config.layers; layer++) {
                const struct scope_layer_offsets *at = &layout->layers[layer];
                norm(part, at->input_norm, part->bench->x, part->own->normed, part->rows, hidden);
                attend(part, cache, layer);
                norm(part, at->post_norm, part->bench->x, part->own->normed, part->rows, hidden);
                feed_forward(part, layer);
        }
}

/* --- heads ------------------------------------------------------------------------------- */

/* Logits of rows [first, first + count) into the bench. */
static void logits(const struct part *part, uint32_t first, uint32_t count)
{
        const struct scope_decoder *decoder = part->decoder;
        uint32_t hidden = decoder->layout->config.hidden;
        norm(part, decoder->layout->final_norm, part->bench->x + (size_t)first * hidden,
                part->own->normed, count, hidden);
        product(part, count, &(struct product){ .matrix = decoder->matrix_count - 1,
                .bias = SIZE_MAX, .x = part->own->normed, .y = part->bench->logits });
        meet(part);
}

/* Rows [begin, end) of the logits, which are rows first + begin, ... of all. */
static void draw(const struct part *part, struct scope_decoder_draw *draws, uint32_t begin,
        uint32_t end)
{
        const struct scope_decoder *decoder = part->decoder;
        struct bench *bench = part->bench;
        uint32_t vocab = decoder->layout->config.vocab;
        for (uint32_t i = begin; i < end; i++) {
                bench->temperature[i] = draws[i].temperature;
                bench->top_p[i] = draws[i].top_p;
                bench->uniform[i] = draws[i].uniform;
        }
        struct scope_token_sample_args args = { .logits = bench->logits + (size_t)begin * vocab,
                .temperature = bench->temperature + begin, .top_p = bench->top_p + begin,
                .uniform = bench->uniform + begin, .tokens = bench->tokens + begin,
                .logp = bench->logp + begin, .scratch = part->own->sample_scratch,
                .rows = end - begin, .vocab = vocab, .used = decoder->tokens_used };
        enum scope_err err = decoder->kernels->token_sample(&args, NULL);
        if (err != SCOPE_OK) { /* the ranks go on meeting; the leader tells */
                part->own->err = err;
                return;
        }
        for (uint32_t i = begin; i < end; i++) {
                draws[i].token = bench->tokens[i];
                draws[i].logp = bench->logp[i];
        }
}

static void sample(const struct part *part, struct scope_decoder_draw *draws, uint32_t count)
{
        part->own->err = SCOPE_OK;
        for (uint32_t first = 0, step; first < count; first += step) {
                step = count - first < part->decoder->logit_rows ? count - first
                                                                 : part->decoder->logit_rows;
                logits(part, first, step);
                draw(part, draws + first, share(part, step, part->rank),
                        share(part, step, part->rank + 1));
                meet(part);
        }
}

/* Padding rows of the vocabulary have no probability. */
static void mask(const struct scope_decoder *decoder, float *logit)
{
        for (uint32_t i = decoder->tokens_used; i < decoder->layout->config.vocab; i++)
                logit[i] = -1e30f;
}

static void logp(const struct part *part, const uint32_t *targets, uint32_t count,
        float *ret_logp)
{
        const struct scope_decoder *decoder = part->decoder;
        struct bench *bench = part->bench;
        uint32_t vocab = decoder->layout->config.vocab;
        for (uint32_t first = 0, step; first < count; first += step) {
                step = count - first < decoder->logit_rows ? count - first : decoder->logit_rows;
                logits(part, first, step);
                uint32_t begin = share(part, step, part->rank);
                uint32_t end = share(part, step, part->rank + 1);
                for (uint32_t i = begin; i < end; i++) {
                        mask(decoder, bench->logits + (size_t)i * vocab);
                        bench->temperature[i] = 1;
                }
                struct scope_token_logprob_args args = {
                        .logits = bench->logits + (size_t)begin * vocab,
                        .targets = targets + first + begin,
                        .temperature = bench->temperature + begin, .logp = ret_logp + first + begin,
                        .entropy = bench->entropy + begin, .rows = end - begin, .vocab = vocab };
                if (end > begin)
                        must(decoder->kernels->token_logprob(&args, NULL));
                meet(part);
        }
}

static void reward(const struct part *part, uint32_t count, float *ret_probability)
{
        const struct scope_decoder *decoder = part->decoder;
        const struct scope_layout *layout = decoder->layout;
        struct bench *bench = part->bench;
        uint32_t hidden = layout->config.hidden, begin = share(part, count, part->rank);
        uint32_t end = share(part, count, part->rank + 1);
        bool linear = layout->config.head == SCOPE_HEAD_CLASSES;
        norm(part, layout->final_norm, bench->x, part->own->normed, count, hidden);
        if (!linear)
                product(part, count, &(struct product){ .matrix = decoder->matrix_count - 1,
                        .bias = layout->score_0_bias, .x = part->own->normed,
                        .y = bench->logits });
        meet(part);
        const float *x = linear ? part->own->normed : bench->logits;
        struct scope_binary_head_args args = { .x = x + (size_t)begin * hidden,
                .linear = linear,
                .weight = parameter(decoder, layout->score_2),
                .bias = parameter(decoder, layout->score_2_bias),
                .probability = ret_probability + begin, .rows = end - begin, .width = hidden };
        if (end > begin)
                must(decoder->kernels->binary_head(&args, NULL));
        meet(part);
}

/* --- orders ------------------------------------------------------------------------------ */

static struct part part_of(struct scope_decoder *decoder, unsigned rank)
{
        bool team = decoder->together > 1;
        return (struct part){ .decoder = decoder, .bench = &decoder->benches[team ? 0 : rank],
                .own = &decoder->own[rank], .rank = team ? rank : 0, .size = decoder->together };
}

static void obey(struct scope_decoder *decoder, unsigned rank, const struct order *order)
{
        struct part part = part_of(decoder, rank);
        part.rows = order->count;
        switch (order->what) {
        case ORDER_END:
                break;
        case ORDER_FORWARD:
                forward(&part, order->cache);
                break;
        case ORDER_SAMPLE:
                sample(&part, order->draws, order->count);
                break;
        case ORDER_LOGP:
                logp(&part, order->targets, order->count, order->out);
                break;
        case ORDER_REWARD:
                reward(&part, order->count, order->out);
                break;
        }
}

/* Every order begins with a meeting, where followers learn of it, and ends with one. */
static void give(struct scope_decoder *decoder, unsigned rank, const struct order *order)
{
        if (decoder->together > 1) {
                struct part leader = part_of(decoder, 0);
                scope_assert(rank == 0);
                decoder->order = *order;
                decoder->order.work = scope_work_is(NULL);
                meet(&leader);
        }
        obey(decoder, rank, order);
}

bool scope_decoder_is_team(const struct scope_decoder *decoder)
{
        return decoder->comm != NULL;
}

void scope_decoder_lead(struct scope_decoder *decoder, unsigned size)
{
        scope_assert(decoder->comm != NULL && (size == 1 || size == decoder->ranks));
        decoder->together = size;
        if (size > 1) {
                struct part leader = part_of(decoder, 0);
                meet(&leader); /* followers read `together` after it */
        }
}

void scope_decoder_follow(struct scope_decoder *decoder, unsigned rank)
{
        struct part part = { .decoder = decoder, .rank = rank, .size = decoder->ranks };
        meet(&part);
        for (;;) {
                meet(&part);
                struct order order = decoder->order;
                if (order.what == ORDER_END)
                        return;
                (void)scope_work_is(order.work);
                obey(decoder, rank, &order);
        }
}

void scope_decoder_release(struct scope_decoder *decoder)
{
        struct order end = { .what = ORDER_END };
        give(decoder, 0, &end);
}

void scope_decoder_forward(struct scope_decoder *decoder, const struct scope_kv_cache *cache,
        unsigned rank, const struct scope_decoder_row *rows, uint32_t count)
{
        scope_assert(rank < decoder->ranks && count <= ROWS && decoder->weights != NULL);
        struct part part = part_of(decoder, rank);
        struct order order = { .what = ORDER_FORWARD, .cache = cache, .count = count };
        part.bench->context = 0;
        for (uint32_t i = 0; i < count; i++) {
                part.bench->tokens[i] = rows[i].token;
                part.bench->positions[i] = rows[i].position;
                part.bench->kv[i] = rows[i].kv;
                part.bench->context += rows[i].kv.shared_count + rows[i].kv.own_count;
        }
        give(decoder, rank, &order);
}

enum scope_err scope_decoder_sample(struct scope_decoder *decoder, unsigned rank,
        struct scope_decoder_draw *draws, uint32_t count)
{
        struct order order = { .what = ORDER_SAMPLE, .draws = draws, .count = count };
        give(decoder, rank, &order);
        enum scope_err err = decoder->own[rank].err;
        for (unsigned i = 1; i < decoder->together && err == SCOPE_OK; i++)
                err = decoder->own[i].err;
        return err;
}

void scope_decoder_logp(struct scope_decoder *decoder, unsigned rank, const uint32_t *targets,
        uint32_t count, float *ret_logp)
{
        struct order order = { .what = ORDER_LOGP, .targets = targets, .out = ret_logp,
                .count = count };
        give(decoder, rank, &order);
}

void scope_decoder_reward(struct scope_decoder *decoder, unsigned rank, uint32_t count,
        float *ret_probability)
{
        struct order order = { .what = ORDER_REWARD, .out = ret_probability, .count = count };
        give(decoder, rank, &order);
}
