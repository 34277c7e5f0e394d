# A fresh machine needs Python 3.11 or newer and make; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := runs/demo

export GOMP_SPINCOUNT ?= 1000

.PHONY: demo test lint docs bench clean

demo: $(STAMP)  ## train, attack and report on built-in faces; serve one of them, ask it once
	$(BIN)/deepobfuscator compare --data synthetic:4000 --defences deepobfuscator narrow-code \
	  --seeds 1 --epochs 10 --adversary-epochs 2 --game-epochs 10 --infer-epochs 5 \
	  --reconstruct-epochs 3 --out $(DEMO)
	$(BIN)/deepobfuscator export $(DEMO)/narrow-code-s0 $(DEMO)/ship --no-int8
	$(BIN)/python -c "import deepobfuscator as do; from PIL import Image; \
	  faces = do.Data.synthetic(5).source; pictures, _ = faces.load(faces.read().images[:1], (64, 64)); \
	  Image.fromarray(pictures[0]).save('$(DEMO)/face.png')"
	@$(BIN)/python -m deepobfuscator.serve $(DEMO)/ship --port 0 > $(DEMO)/address 2> $(DEMO)/serve.log & \
	  server=$$!; trap "kill $$server" EXIT; \
	  until [ -s $(DEMO)/address ]; do kill -0 $$server || exit 1; sleep 0.1; done; \
	  $(BIN)/deepobfuscator classify $(DEMO)/ship $(DEMO)/face.png --server $$(sed 's/.* //' $(DEMO)/address)

# In the order of files: by number of tests, the longest files would come last, and one process wait.
test: $(STAMP) lint  ## lint, types, layers, tests; two processes of one thread each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

docs: $(STAMP)  ## the site, in site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/python docs/build.py pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	$(BIN)/python docs/build.py check

bench: $(STAMP)  ## speed against a straightforward reference and the machine's limit; leave it alone meanwhile
	$(BIN)/python benchmarks/run.py

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(STAMP): pyproject.toml edge/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e edge -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) runs site site_src
