"""Groups get the embeddings of their texts, each distinct text encoded once."""

from __future__ import annotations

from evalkit.metrics.embeddings.encoder import Encoder, encode
from evalkit.plumbing.progress import Listener
from evalkit.records import Group, Groups


def embed_groups(groups: Groups, tell: Listener, encoder: Encoder, references: bool) -> dict[str, list[Group]]:
    """The groups with the embeddings of their completions, and of their prompts' `references`.

    Raises `EvalkitError` where the encoder cannot be loaded.
    """
    members = [group for arm in groups.values() for group in arm]
    reference_texts = {text for group in members for text in group.prompt.references} if references else set()
    texts = sorted(reference_texts.union(*(group.texts for group in members)))
    tell.stage("embed texts", len(texts))
    vectors = encode(texts, tell.advance, encoder)
    row = {text: index for index, text in enumerate(texts)}

    def embedded(group: Group) -> Group:
        rows = vectors[[row[text] for text in group.texts]]
        of_references = vectors[[row[text] for text in group.prompt.references]] if references else None
        return group.having(embeddings=rows, reference_embeddings=of_references)

    return {arm: [embedded(group) for group in of_arm] for arm, of_arm in groups.items()}
