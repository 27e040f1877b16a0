"""LoRA adapters on a transformers model that is loaded once: put on, changed for another, taken off again."""

from __future__ import annotations

from typing import Any

from evalkit.checkpoints.checkpoint import Adapter
from evalkit.errors import EngineError


class Adapters:
    """A model's adapters: peft puts its layers into the model itself, so whoever holds that is served by them."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._peft: Any = None

    def put_on(self, adapter: Adapter | None) -> None:
        """Let this adapter, and no other, change the model; None: none. Raises `EngineError`."""
        if adapter is None:
            if self._peft is not None:
                self._peft.base_model.disable_adapter_layers()
            return
        name = adapter.fingerprint
        if self._peft is None or name not in self._peft.peft_config:
            self._load(adapter, name)
        self._peft.base_model.enable_adapter_layers()
        self._peft.set_adapter(name, inference_mode=True)
        self._model.eval()

    def _load(self, adapter: Adapter, name: str) -> None:
        from peft import PeftConfig, PeftModel

        # In the base's own precision, as vLLM has it and as a merged model would.
        if self._peft is None:
            config = PeftConfig.from_pretrained(adapter.location)
            config.inference_mode = True
            self._peft = PeftModel(self._model, config, name, autocast_adapter_dtype=False)
        device = str(self._model.device)
        loaded = self._peft.load_adapter(adapter.location, name, torch_device=device, autocast_adapter_dtype=False)
        lost = [*loaded.missing_keys, *loaded.unexpected_keys]
        if lost:
            # peft would only warn, and the base would answer in the adapter's name.
            raise EngineError(f"the adapter {adapter.location} does not fit its base {adapter.base}: {lost[0]}")
