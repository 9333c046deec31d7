# berth: folders in, objects out. `make help` lists what can be made.
#
# A flavour is one way to compile everything: its objects lie in build/FLAVOUR, the libraries that it is
# linked with in build/deps/FLAVOUR (deps/build makes them from the archives pinned in deps/pins).
#   dev        glibc, for daily work and the unit tests     -> build/berth
#   static     musl, hardened, what the image ships         -> build/static/berth
#   arm64      the same, compiled across                    -> build/arm64/berth
#   sanitize   address and undefined-behaviour sanitizers   -> build/sanitize/berth
#   tsan       thread sanitizer, the libraries too          -> build/tsan/berth
# Settings: CC, CFLAGS, LDFLAGS; V=1; WERROR=1; SYSTEM_LIBS=1 (the system's libraries, by pkg-config);
# DEBIAN_MIRROR=; PREFIX, DESTDIR; for `run` PORT=, HOST=, MODELS=; for `test` FUZZ_FILES=.

FLAVOUR ?= dev
OUT     ?= build/$(FLAVOUR)
DEPS    ?= build/deps/$(FLAVOUR)
VERSION := $(shell cat VERSION)
PREFIX  ?= /usr/local

# Tests of the development build lie where one looks for them.
ifeq ($(OUT),build/dev)
BERTH := build/berth
TESTS := build/tests
else
BERTH := $(OUT)/berth
TESTS := $(OUT)/tests
endif

# ---- the compiler, by flavour ----------------------------------------------------------------------------

HARDENING = $(shell . deps/hardening; hardening $(MACHINE))
# The same sources give the same bytes in whatever directory they lie.
SHIPPED_C  = -O2 -ffunction-sections -fdata-sections -ffile-prefix-map=$(CURDIR)=. $(HARDENING)
SHIPPED_LD = -s -Wl,--gc-sections,-O1,--build-id=none,-z,relro,-z,now,-z,noexecstack,-z,separate-code
# Relocations in an eightieth of the room, which deps/start.c applies. The linker packs them for x86-64 alone.
PACKED_LD  = -Wl,-z,pack-relative-relocs,-e,berth_start

MACHINE := $(shell uname -m)
ifeq ($(FLAVOUR),dev)
CFLAGS  ?= -O2 -g
else ifeq ($(FLAVOUR),sanitize)
CFLAGS  ?= -O1 -g -fno-omit-frame-pointer
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined
else ifeq ($(FLAVOUR),tsan)
CFLAGS  ?= -O1 -g -fno-omit-frame-pointer
SANITIZE := -fsanitize=thread
else ifeq ($(FLAVOUR),static)
override CC := deps/musl-cc
CFLAGS  ?= $(SHIPPED_C)
LDFLAGS ?= $(SHIPPED_LD) -flto=auto $(if $(filter x86_64,$(MACHINE)),$(PACKED_LD))
else ifeq ($(FLAVOUR),arm64)
override CC := deps/musl-cc
MACHINE := aarch64
export MUSL_TARGET := aarch64
export MUSL_ROOT := $(CURDIR)/build/deps/arm64-musl
CFLAGS  ?= $(SHIPPED_C)
LDFLAGS ?= $(SHIPPED_LD)
else
$(error no flavour $(FLAVOUR): dev, static, arm64, sanitize or tsan)
endif
ifeq ($(origin CC),default)
CC := gcc
endif

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion $(if $(WERROR),-Werror)

# For packagers. What ships is always linked with the pinned libraries.
ifeq ($(FLAVOUR)$(SYSTEM_LIBS),dev1)
SYSTEM := libmicrohttpd >= 1.0.10 jansson >= 2.15.1
ifneq ($(shell pkg-config --exists '$(SYSTEM)' && echo yes),yes)
$(error SYSTEM_LIBS=1 needs, by pkg-config: $(SYSTEM))
endif
READY       :=
DEPS_CFLAGS := $(shell pkg-config --cflags '$(SYSTEM)')
DEPS_LIBS   := $(shell pkg-config --libs '$(SYSTEM)')
else
READY       := $(DEPS)/key
DEPS_CFLAGS := -isystem $(DEPS)/include
DEPS_LIBS   := $(DEPS)/lib/libmicrohttpd.a $(DEPS)/lib/libjansson.a
endif

# Numbers must be the same on every CPU: no fast maths, no contraction but where the code says fma.
ALL  := -std=c17 -D_GNU_SOURCE -Iinclude -iquote . -MMD -MP -fno-fast-math -ffp-contract=off -pthread $(WARN)
LIBS := $(DEPS_LIBS) -pthread -lm

# ---- what there is ---------------------------------------------------------------------------------------

OTHER_CPU := $(if $(filter x86_64,$(MACHINE)),,%_avx2.c %_avxvnni.c %_avx512.c) $(if $(filter aarch64,$(MACHINE)),,%_neon.c %_dotprod.c %_i8mm.c)
ROOMS := base kernels kernels/* loaders engine/* server server/*
# The page of server/web/, joined, compressed and written as C.
PAGE  := $(OUT)/server/web/page_bytes.c
# The tables of the pre-tokenizers, compiled by a program of its own, which runs on the machine that builds.
WORDS := $(OUT)/engine/tokenizer/pretokenizer_tables.c
HOSTCC ?= cc
SRC   := $(filter-out $(OTHER_CPU),$(sort $(wildcard $(ROOMS:%=%/*.c))))
OBJ   := $(SRC:%.c=$(OUT)/%.o) $(PAGE:.c=.o) $(WORDS:.c=.o)
START := $(if $(filter static,$(FLAVOUR)),$(if $(filter x86_64,$(MACHINE)),$(OUT)/deps/start.o))
# What a unit test may link: everything but the program's own main: an archive, it takes what it calls.
PARTS := $(OUT)/parts.a

# There is none to link for arm64: tests/across/cmocka.h is enough.
CMOCKA := $(if $(filter arm64,$(FLAVOUR)),,-lcmocka)
TEST_FLAGS := -iquote tests/support $(if $(filter arm64,$(FLAVOUR)),-Itests/across)
$(OUT)/tests/%.o: DEFINE := $(TEST_FLAGS)

# A file test_X.c is a program: build/tests/test_X from a room below unit/, build/tests/http/test_X from http/ and
# so on. The objects of tests/support/ are linked to each.
UNIT_SRC    := $(sort $(wildcard $(ROOMS:%=tests/unit/%/test_*.c)))
UNIT_TESTS  := $(addprefix $(TESTS)/,$(notdir $(UNIT_SRC:.c=)))
programs     = $(patsubst tests/%.c,$(TESTS)/%,$(sort $(wildcard tests/$1/$2_*.c)))
FAULT_TESTS := $(call programs,faults,test)
FUZZERS     := $(call programs,fuzz,fuzz)
HTTP_TESTS  := $(call programs,http,test)
SUPPORT     := $(OUT)/support.a
SUPPORT_OBJ := $(patsubst %.c,$(OUT)/%.o,$(sort $(wildcard tests/support/*.c)))
BENCHES     := $(patsubst bench/%.c,$(OUT)/bench/%,$(sort $(wildcard bench/bench_*.c)))
BENCH_HELP  := $(patsubst %.c,$(OUT)/%.o,$(filter-out bench/bench_%,$(sort $(wildcard bench/*.c))))

# Who names no number of jobs gets one for each processor.
JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

# ---- the targets -----------------------------------------------------------------------------------------

.DEFAULT_GOAL := all
.PHONY: all static static-arm64 image size-report bench check test test-all tests sanitize format install uninstall \
        clean help run setup FORCE

all: $(BERTH) ## build/berth, for this machine

static: ## build/static/berth: what the image ships, a static program of one file
	+@$(MAKE) --no-print-directory FLAVOUR=static build/static/berth

static-arm64: ## build/arm64/berth: the same for arm64, compiled across
	+@$(MAKE) --no-print-directory FLAVOUR=arm64 build/arm64/berth

run: ## installs what is missing, builds, serves MODELS=models.example on 127.0.0.1:8000
	@tools/setup build
	+@$(MAKE) --no-print-directory $(JOBS) all
	@PORT='$(PORT)' HOST='$(HOST)' MODELS='$(MODELS)' tools/run

check: ## the unit and HTTP tests on the development build: what to run while working
	@tools/setup build test
	+@$(MAKE) --no-print-directory $(JOBS) all tests
	@tests/run check

test: ## installs what is missing, builds, tests everything that this machine can be wrong about
	@tools/setup build static test
	+@$(MAKE) --no-print-directory $(JOBS) all static tests
	@tests/run test

test-all: ## what make test leaves out: other compilers, emulated processors, sanitizers, the thread sanitizer, long sweeps, the references
	@tools/setup build static test test-all
	+@$(MAKE) --no-print-directory $(JOBS) FLAVOUR=sanitize all tests
	@tests/run rest

# Every file compiled and nothing linked, to hear what a compiler says. cmocka is there for glibc alone.
TEST_OBJ := $(patsubst %.c,$(OUT)/%.o,$(UNIT_SRC) $(sort $(wildcard tests/*/*.c)))
$(OUT)/objects: $(OBJ) $(if $(filter dev sanitize tsan,$(FLAVOUR)),$(TEST_OBJ))
	@touch $@

tests: $(UNIT_TESTS) $(FAULT_TESTS) $(HTTP_TESTS) $(FUZZERS)

sanitize: ## the tests under the address and undefined-behaviour sanitizers
	@tools/setup build test
	+@$(MAKE) --no-print-directory $(JOBS) FLAVOUR=sanitize all tests
	@ONLY=sanitized tests/run rest

image: ## berth:latest, the container image
	@docker/make-image

size-report: ## the image beside the lesson's, step by step
	@docker/size-report

bench: ## programs that measure, each against a peer where there is one
	@tools/setup build static bench
	+@$(MAKE) --no-print-directory all static $(BENCHES)
	@bench/all

format: ## puts the C files and the page's scripts into the house's shape
	clang-format -i $(sort $(wildcard $(ROOMS:%=include/berth/%/*.h) $(ROOMS:%=%/*.[ch]) $(UNIT_SRC) bench/*.[ch] tests/*/*.[ch] server/web/*.js))

COMPLETIONS := share/bash-completion/completions/berth share/zsh/site-functions/_berth \
               share/fish/vendor_completions.d/berth.fish

install: all ## PREFIX=/usr/local, DESTDIR=: the program, its manual page, shell completions, licences
	install -D -m 755 $(BERTH) '$(DESTDIR)$(PREFIX)/bin/berth'
	install -D -m 644 docs/berth.1 '$(DESTDIR)$(PREFIX)/share/man/man1/berth.1'
	$(BERTH) completion bash | install -D -m 644 /dev/stdin '$(DESTDIR)$(PREFIX)/$(word 1,$(COMPLETIONS))'
	$(BERTH) completion zsh | install -D -m 644 /dev/stdin '$(DESTDIR)$(PREFIX)/$(word 2,$(COMPLETIONS))'
	$(BERTH) completion fish | install -D -m 644 /dev/stdin '$(DESTDIR)$(PREFIX)/$(word 3,$(COMPLETIONS))'
	install -D -m 644 -t '$(DESTDIR)$(PREFIX)/share/doc/berth' LICENSE THIRD-PARTY README.md CHANGELOG.md

uninstall: ## takes away what install put there
	rm -f '$(DESTDIR)$(PREFIX)/bin/berth' '$(DESTDIR)$(PREFIX)/share/man/man1/berth.1'
	rm -f $(COMPLETIONS:%='$(DESTDIR)$(PREFIX)/%')
	rm -rf '$(DESTDIR)$(PREFIX)/share/doc/berth'

setup: ## installs what building and testing need (Debian 12 and 13)
	@tools/setup build static test

clean: ## removes what was built; the pinned libraries and the tests' Python stay
	@[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name deps ! -name 'venv*' -exec rm -rf {} +

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

# One line a file; V=1 shows the commands.
say = $(if $(V),,@printf '  %-4s%s\n' '$1' '$2'; )

# ---- the rules -------------------------------------------------------------------------------------------

# The libraries: remade when a pin or a setting changes, not when only dates did.
$(DEPS)/key: deps/pins deps/build deps/musl-cc deps/hardening $(wildcard deps/jansson/*.h)
	@deps/build $(FLAVOUR)
	@touch $@

# Objects know the flags that they were made with.
FLAGS := $(CC) $(ALL) $(CFLAGS) $(SANITIZE) $(DEPS_CFLAGS) $(LDFLAGS) $(VERSION)
$(OUT)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' >$@

$(OUT)/server/%.o: DEFINE := -DBERTH_VERSION='"$(VERSION)"'
$(OUT)/kernels/%_avx2.o: ISA := -mavx2 -mfma -mf16c
$(OUT)/kernels/%_avxvnni.o: ISA := -mavx2 -mfma -mf16c -mavxvnni
$(OUT)/kernels/%_avx512.o: ISA := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mfma -mf16c
$(OUT)/kernels/%_dotprod.o: ISA := -march=armv8.2-a+dotprod
$(OUT)/kernels/%_i8mm.o: ISA := -march=armv8.2-a+dotprod+i8mm

KERNEL_OBJ := $(patsubst %.c,$(OUT)/%.o,$(wildcard kernels/*.c kernels/*/*.c))
# Full debugging information doubles the time that kernels take to compile; lines and names are enough there.
ifeq ($(FLAVOUR),dev)
$(KERNEL_OBJ): TUNE := -g1
endif

# What ships is compiled for speed, but for the rooms whose work is small beside a forward call or is done once. Only
# loops of kernels are worth the bytes of their alignment.
COLD := loaders engine/template server server/http server/web server/cmd server/fastapi server/json server/oip server/api server/openai server/anthropic server/ollama server/llamacpp engine/chat engine/grammar
ifneq ($(filter static arm64,$(FLAVOUR)),)
$(OBJ): TUNE := -fno-align-functions -fno-align-jumps -fno-align-loops -fno-tree-vectorize
# What is compiled for size is seen as one file by the linker, which takes out what one caller or none needs: 12 KB.
SMALL := -Oz $(if $(filter static,$(FLAVOUR)),-flto)
$(patsubst %.c,$(OUT)/%.o,$(wildcard $(COLD:%=%/*.c))): TUNE := $(SMALL)
# So is what is small in other rooms, too.
COLD_FILES := $(filter-out base/pool.c base/half.c base/text.c,$(wildcard base/*.c)) \
              $(filter-out %/sampler.c %/sampler_filter.c,$(wildcard engine/scheduler/*.c)) \
              $(addprefix engine/tokenizer/,roles.c vocabulary.c tokenizer.c guard.c detokenize.c) \
              $(addprefix engine/model/,bind.c layer_attention_bind.c decoder.c workspace.c kv_cache.c pages.c sequence.c \
                  states.c rope.c streams_altup.c token_shift.c) $(wildcard engine/model/arch*.c engine/model/family_*.c)
$(COLD_FILES:%.c=$(OUT)/%.o): TUNE := $(SMALL)
# Masks over a vocabulary are made between two tokens.
$(addprefix $(OUT)/engine/grammar/,mask.o matcher.o dfa.o): TUNE := -fno-align-functions -fno-align-jumps -fno-align-loops
# Kernels fill arrays of vectors whole, over and over: to clear them before takes up to half of their speed.
$(KERNEL_OBJ): TUNE := -ftrivial-auto-var-init=uninitialized -fno-align-functions -fno-align-jumps
# Processors that need plain C have no wide vectors to lose; elsewhere it is what tests hold the other sets against.
$(if $(filter static,$(FLAVOUR)),$(OUT)/kernels/matmul/matmul_plain.o): TUNE := -ftrivial-auto-var-init=uninitialized -Os
# What a layer does beside its kernels is little work.
LAYERS := $(wildcard engine/model/layer_*.c engine/model/forward*.c) engine/model/ssm.c engine/model/moe_route.c
$(LAYERS:%.c=$(OUT)/%.o): TUNE := $(SMALL) -Os
# Recurrences in plain C spend their time in fmaf.
$(addprefix $(OUT)/kernels/scan/,delta_plain.o scan_plain.o wkv_plain.o): TUNE := -Oz
endif

define compile
@mkdir -p $(@D)
$(call say,CC,$<)$(CC) $(ALL) $(DEPS_CFLAGS) $(CFLAGS) $(SANITIZE) $(DEFINE) $(ISA) $(TUNE) -c -o $@ $<
endef

# Only these include the libraries' headers; the rest is compiled while the libraries are. For arm64 all need its musl.
USERS := server tests bench
define with_libraries
$(OUT)/$1/%.o: $1/%.c $(OUT)/flags $(READY)
	$$(compile)
endef
$(foreach room,$(USERS),$(eval $(call with_libraries,$(room))))

$(OUT)/%.o: %.c $(OUT)/flags $(if $(filter arm64,$(FLAVOUR)),$(READY))
	$(compile)

$(PAGE): server/web/make-page $(wildcard server/web/*.html server/web/*.css server/web/*.js)
	@mkdir -p $(@D)
	$(call say,WEB,$@)server/web/make-page $@

$(OUT)/tools/pretokenizers: $(wildcard tools/pretokenizers/*)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(HOSTCC) -std=c17 -O1 -o $@ $(filter %.c,$^)

$(WORDS): engine/tokenizer/pretokenizers $(OUT)/tools/pretokenizers
	@mkdir -p $(@D)
	$(call say,GEN,$@)$(OUT)/tools/pretokenizers $< $@

$(PAGE:.c=.o) $(WORDS:.c=.o): %.o: %.c $(OUT)/flags
	$(compile)

$(PARTS): $(filter-out $(OUT)/server/main.o,$(OBJ))
	@rm -f $@
	@ar rcsD $@ $^

$(BERTH): $(OBJ) $(START) $(READY)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(SANITIZE) $(LDFLAGS) -o $@ $(OBJ) $(START) $(LIBS)

$(SUPPORT): $(SUPPORT_OBJ)
	@rm -f $@
	@ar rcsD $@ $^

link_test = $(call say,LD,$@)$(CC) $(CFLAGS) $(SANITIZE) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(CMOCKA) $(LIBS)

define unit_test
$(TESTS)/$(notdir $(1:.c=)): $(OUT)/$(1:.c=.o)
endef
$(foreach source,$(UNIT_SRC),$(eval $(call unit_test,$(source))))
$(TESTS)/test_weights: $(OUT)/bench/weights.o
$(UNIT_TESTS): $(SUPPORT) $(PARTS)
	@mkdir -p $(@D)
	$(link_test)

$(FAULT_TESTS) $(FUZZERS): $(TESTS)/%: $(OUT)/tests/%.o $(SUPPORT) $(PARTS)
	@mkdir -p $(@D)
	$(link_test)

# These speak to a running server and link nothing of it.
$(HTTP_TESTS): $(TESTS)/%: $(OUT)/tests/%.o $(SUPPORT)
	@mkdir -p $(@D)
	$(link_test)

$(BENCHES): $(OUT)/bench/%: $(OUT)/bench/%.o $(BENCH_HELP) $(PARTS)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(SANITIZE) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

.SECONDARY:
-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
