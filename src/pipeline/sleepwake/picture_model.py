"""A causal model of text and pictures in one sequence, and walks as its sequences.

    direct    BEGIN actions board = answer
    pictured  BEGIN actions board a1 board1 a2 board2 … = answer

A board is 49 codes of a codebook, a letter one byte. Actions stand first, so that a board and the next are always 50
tokens apart. Beside its token's embedding a code has those of its row and column,
and whatever stands before a code has those of the row and column that comes next.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.config.sleepwake import ByteModelConfig
from pipeline.config.sleepwake_parts import DecisionConfig
from pipeline.sleepwake.byte_model import BEGIN, VOCABULARY, Block
from pipeline.sleepwake.maze import SIDE
from pipeline.sleepwake.visual_decision import VisualDecision

CELLS = SIDE**2
ANSWER = ord("=")
_INITIAL_GAIN = 0.8
"""Times width^−0.5: at 0.02 a narrow model attends evenly for hundreds of steps."""


class PictureModel(nn.Module):
    """Logits of the next token, a byte or a code.

    Args:
        sizes: Of the network.
        codes: In the codebook; their ids follow those of bytes and marks.
        decision: Of the part that decides whether a question is pictured.
        seed: Of the initial weights.
    """

    def __init__(self, sizes: ByteModelConfig, codes: int, decision: DecisionConfig, seed: int) -> None:
        super().__init__()
        self.sizes, self.codes = sizes, codes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embedding = nn.Embedding(VOCABULARY + codes, sizes.width)
            # of the cell that a token shows and of the one that comes next; the last row and column are those of text
            self.rows, self.columns, self.next_rows, self.next_columns = (
                nn.Embedding(SIDE + 1, sizes.width) for _ in range(4)
            )
            self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
            self.norm = nn.RMSNorm(sizes.width)
            for weight in self.parameters():
                if weight.ndim == 2:
                    nn.init.normal_(weight, std=_INITIAL_GAIN * weight.shape[1] ** -0.5)
            self.decision = VisualDecision(sizes.width, decision)

    def hidden(self, tokens: Tensor, cells: Tensor) -> Tensor:
        """The stream (B, L, W) behind the last block, for token ids (B, L) and the cell of each, (L,)."""
        following = torch.cat([cells[1:], cells.new_tensor([CELLS])])
        stream = self.embedding(tokens)
        for places, rows, columns in ((cells, self.rows, self.columns), (following, self.next_rows, self.next_columns)):
            text = places == CELLS
            stream = stream + rows(torch.where(text, SIDE, places // SIDE))
            stream = stream + columns(torch.where(text, SIDE, places % SIDE))
        for block in self.blocks:
            stream = block(stream)
        normed: Tensor = self.norm(stream)
        return normed

    def forward(self, tokens: Tensor, cells: Tensor) -> Tensor:
        """Logits (B, L, V) of the token behind each of token ids (B, L)."""
        return self.hidden(tokens, cells) @ self.embedding.weight.T


def letters(texts: list[str]) -> Tensor:
    """Byte values (N, n) of texts of n letters each."""
    return torch.tensor([list(text.encode()) for text in texts])


def questions(actions: Tensor, boards: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens (N, 1 + n + 49) before ``=`` or the first picture, and their cells.

    Args:
        actions: Byte values, (N, n).
        boards: Token ids of the board before the first action, (N, 49).
    """
    begin = torch.full((len(actions), 1), BEGIN, device=actions.device)
    tokens = torch.cat([begin, actions, boards], 1)
    text = torch.full((1 + actions.shape[1],), CELLS, device=actions.device)
    return tokens, torch.cat([text, torch.arange(CELLS, device=actions.device)])


def direct(actions: Tensor, boards: Tensor) -> tuple[Tensor, Tensor]:
    """A question with ``=`` behind it, as `questions` else."""
    tokens, cells = questions(actions, boards)
    return nn.functional.pad(tokens, (0, 1), value=ANSWER), nn.functional.pad(cells, (0, 1), value=CELLS)


def pictured(actions: Tensor, boards: Tensor) -> tuple[Tensor, Tensor]:
    """A question, every action with the board behind it, and ``=``.

    Args:
        actions: Byte values, (N, n).
        boards: Token ids of the board before the first and behind every action, (N, n + 1, 49).
    """
    tokens, cells = questions(actions, boards[:, 0])
    steps = torch.cat([actions[:, :, None], boards[:, 1:]], 2).flatten(1)  # (N, 50 n)
    one = nn.functional.pad(torch.arange(CELLS, device=actions.device), (1, 0), value=CELLS)
    tokens = nn.functional.pad(torch.cat([tokens, steps], 1), (0, 1), value=ANSWER)
    return tokens, nn.functional.pad(torch.cat([cells, one.repeat(actions.shape[1])]), (0, 1), value=CELLS)


def picture_places(steps: int) -> Tensor:
    """Positions (49 n,) of a pictured sequence whose next token is a code of a drawn board."""
    starts = 1 + steps + CELLS + (CELLS + 1) * torch.arange(steps)[:, None]  # of every action's letter
    return (starts + torch.arange(CELLS)).flatten()


@torch.no_grad()
def draw(model: PictureModel, actions: Tensor, board: Tensor) -> tuple[Tensor, int]:
    """The boards that the model pictures greedily, token ids (N, n + 1, 49), and the passes that took.

    A board is guessed whole as the one before it, then all its codes are predicted from the guess, until none changes:
    the fixed point is what predicting one code after the other gives (Santilli et al. 2023, arXiv:2305.10427), at most
    49 passes later.

    Args:
        model: Put into evaluation mode.
        actions: Byte values, (N, n).
        board: Token ids before the first action, (N, 49).
    """
    model.eval()
    boards, passes = board[:, None], 0
    for step in range(actions.shape[1]):
        boards = torch.cat([boards, boards[:, -1:]], 1)
        for _ in range(CELLS):
            tokens, cells = pictured(actions[:, : step + 1], boards)
            tokens = torch.cat([tokens[:, :1], actions, tokens[:, step + 2 :]], 1)  # the question names all actions
            cells = torch.cat([cells.new_full((actions.shape[1] - step - 1,), CELLS), cells])
            logits = model(tokens, cells)[:, -CELLS - 2 : -2, VOCABULARY:]
            found, passes = logits.argmax(-1) + VOCABULARY, passes + 1
            if torch.equal(found, boards[:, -1]):
                break
            boards = torch.cat([boards[:, :-1], found[:, None]], 1)
    return boards, passes
